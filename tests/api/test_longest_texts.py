"""What the API's description admits, the database takes: no text is too long for its column, cut off, or fatal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.access import Action
from ledger.store import Ledger
from tests.api.conftest import People
from tests.api.test_rights import DEALS, ROWS, Row, World

pytestmark = pytest.mark.only_on("postgresql")  # SQLite takes any length; the rules are the same

LENGTHENING = "İ"
"""Its lower case has two characters: a text that is made lower after it was measured grows."""


def operations(client: TestClient) -> Iterator[tuple[str, Row, dict[str, Any], dict[str, Any]]]:
    """Each operation on the ledger: its name, how it succeeds, what OpenAPI says of it, and of all schemas."""
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path.removeprefix('/api/v1')}"
            if name in ROWS and "performance" not in path:
                yield name, ROWS[name], operation, document["components"]["schemas"]


def longest_texts(schema: dict[str, Any], example: str) -> list[str]:
    """The longest texts that a field's schema admits, the example padded before and behind; none for other fields."""
    for option in schema.get("anyOf", [schema]):
        if option.get("type") == "string" and "maxLength" in option and "enum" not in option:
            length = option["maxLength"]
            return [example.rjust(length, LENGTHENING), example.ljust(length, LENGTHENING)]
    return []


@dataclass
class Office:
    """Sends operations in the name of whoever may, about a deal of another's."""

    client: TestClient
    ledger: Ledger
    people: People
    world: World | None = None

    def prepare(self, row: Row) -> None:
        """Make the deal, and what the operation needs; the rest of the world stays as it was."""
        caller = self.people.admin if row.action is Action.MANAGE_ACCESS else self.people.manager
        known = self.world.ids if self.world else {}
        with self.ledger.write() as session:
            self.world = World(session, caller, self.people.ben, "another's", dict(known))
            self.world.build()
            if row.prepare:
                row.prepare(self.world)

    def send(
        self, name: str, row: Row, *, body: Any = None, place: Any = None, query: Any = None, files: Any = None
    ) -> Any:
        """Send an operation with some of its body and parameters replaced."""
        assert self.world
        method, path = name.split(" ")
        usual = row.body(self.world) if callable(row.body) else row.body
        return self.client.request(
            method,
            "/api/v1" + path.format(**self.world.ids | (place or {})),
            json=usual and {**usual, **(body or {})},
            params=query,
            files=files,
            data=row.form if files else None,
            headers=self.world.caller.auth | {"If-Match": "*"},
        )


@pytest.fixture
def office(client: TestClient, ledger: Ledger, people: People) -> Office:
    return Office(client, ledger, people)


def test_the_longest_text_of_every_field_is_kept_whole_or_refused(office: Office) -> None:
    """Each text field of each body, at the length that OpenAPI gives: accepted and given back as it was, or told no."""
    tried, kept, wrong = 0, 0, []
    for name, row, operation, schemas in list(operations(office.client)):
        if row.body is None:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        example = schemas[schema]["examples"][0]
        for field, shape in schemas[schema]["properties"].items():
            shown = next((one["examples"][0] for one in shape.get("anyOf", [shape]) if one.get("examples")), "")
            for text in longest_texts(shape, str(example.get(field, shown))):
                office.prepare(row)
                answer = office.send(name, row, body={field: text})
                tried += 1
                given = answer.json().get("deal", answer.json()).get(field, text) if answer.is_success else text
                if answer.status_code >= 500 or given not in (text, text.lower()):
                    wrong.append((name, field, answer.status_code, answer.text[:200]))
                kept += answer.is_success
    assert wrong == []
    assert tried > 40
    assert kept > tried / 2, "most of what is admitted by its length is accepted"


def test_no_text_in_an_address_is_fatal(office: Office) -> None:
    """Each text in a path or query, as long as OpenAPI allows, and with a character that no database keeps."""
    wrong = []
    found = list(operations(office.client))
    for _, row, _, _ in found:
        if row.prepare:
            office.prepare(row)
    for name, row, operation, _ in found:
        for parameter in operation.get("parameters", []):
            if parameter["in"] not in ("path", "query"):
                continue
            for text in (*longest_texts(parameter["schema"], ""), "\0"):
                kind = "place" if parameter["in"] == "path" else "query"
                written = "%00" if text == "\0" and kind == "place" else text
                answer = office.send(name, row, **{kind: {parameter["name"]: written}})
                if answer.status_code >= 500:
                    wrong.append((name, parameter["name"], text[:5], answer.status_code, answer.text[:200]))
    assert wrong == []


def test_no_name_in_a_file_is_fatal(office: Office) -> None:
    """A file's name and its columns' names come from outside, too: an import takes or refuses them."""
    long = "n" * 3_000
    row = ROWS["POST /imports"]
    header = DEALS.strip().replace("District", long)
    for name, content in ((f"{long}.csv", DEALS), ("deals.csv", f"{header}\n{'x,' * 15}{long}\n")):
        office.prepare(row)
        answer = office.send("POST /imports", row, files={"files": (name, content)})
        assert answer.status_code < 500, answer.text
