"""The description of the API is complete: statuses, problems, examples, money. What it promises, the guide shows."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, FormatChecker

from api.problems import OWN_STATUSES, PROBLEMS_PAGE, read_problem_sections, status_of
from ingestion.sample_files import write_sample
from ledger import errors
from ledger.settings import PROJECT_DIR
from tests.api.conftest import People

GUIDE = PROJECT_DIR / "docs" / "rest.md"


def facts_of(branch: type[errors.DealbookError]) -> list[type[errors.DealbookError]]:
    children = [child for child in branch.__subclasses__() if child.__module__ == errors.__name__]
    return [branch, *(found for child in children for found in facts_of(child))]


def answered_facts() -> list[type[errors.DealbookError]]:
    """Every fact that can reach a client under its own code."""
    branches = (errors.NotFound, errors.NotPermitted, errors.Conflict, errors.Invalid)
    return [fact for branch in branches for fact in facts_of(branch)]


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def body_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """What a route takes: a JSON document, or a form where files are sent."""
    [(media_type, content)] = operation["requestBody"]["content"].items()
    if media_type == "multipart/form-data":
        schema: dict[str, Any] = content["schema"]
        return schema
    assert media_type == "application/json"
    found: dict[str, Any] = document["components"]["schemas"][content["schema"]["$ref"].split("/")[-1]]
    return found


def test_each_problem_has_a_section_with_its_status_and_no_section_is_left_over() -> None:
    """The address in `type` leads somewhere, for each code that can be answered."""
    expected = {fact.code: status_of(fact.__new__(fact)) for fact in answered_facts()} | OWN_STATUSES
    sections = read_problem_sections()
    assert set(sections) == set(expected)
    wrong = {code for code, text in sections.items() if not text.startswith(f"Status {expected[code]}. ")}
    assert not wrong
    assert all(text.count("\n\n") >= 1 for text in sections.values()), "each section also says what to do"


def test_each_section_is_served_at_its_address(client: TestClient) -> None:
    """A person who follows `type` reads what to do."""
    for code, text in read_problem_sections().items():
        page = client.get(f"/problems/{code}")
        assert page.status_code == 200
        assert text.split(". ")[1].split("`")[0][:20].split("&")[0] in page.text
    assert client.get("/problems/no-such-problem").status_code == 404
    assert "/problems/deal-not-found" in client.get("/problems").text


def test_every_route_of_the_api_needs_a_credential_and_says_so(document: dict[str, Any]) -> None:
    """401 and the two schemes stand at each."""
    for path, method, operation in operations(document):
        if path.startswith("/api/v1"):
            assert operation.get("security"), (method, path)
            assert {"401", "422", "500"} <= set(operation["responses"]), (method, path)
            if method != "get":
                assert {"403", "404", "409", "413"} <= set(operation["responses"]), (method, path)


def test_errors_are_described_as_problem_documents(document: dict[str, Any]) -> None:
    """One shape, one media type, at every status from 400 on."""
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                assert list(response["content"]) == ["application/problem+json"], (method, path, status)
                assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemDocument")


def test_every_route_and_body_explains_itself(document: dict[str, Any]) -> None:
    """A summary and a description at each route, an example at each body that is sent."""
    for path, method, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        if "requestBody" in operation:
            assert body_schema(document, operation)["examples"], (method, path)


def test_every_answer_has_an_example_that_its_description_allows(document: dict[str, Any]) -> None:
    """At each status that answers with JSON; the example of an error has that status and a type that is served."""
    sections = read_problem_sections()
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                if not media_type.endswith("json"):
                    continue
                place = (method, path, status)
                schema = content["schema"] | {"components": document["components"]}
                Draft202012Validator(schema, format_checker=FormatChecker()).validate(content["example"])
                if media_type == "application/problem+json":
                    assert content["example"]["status"] == int(status), place
                    code = content["example"]["type"].removeprefix("/problems/")
                    assert sections[code].startswith(f"Status {status}. "), place


def test_examples_are_accepted_as_they_stand(client: TestClient, people: People, document: dict[str, Any]) -> None:
    """A reader who copies the example of a new deal gets a deal."""
    example = document["components"]["schemas"]["NewDealBody"]["examples"][0]
    assert client.post("/api/v1/deals", json=example, headers=people.anna.auth).status_code == 201


def test_no_amount_is_a_number(document: dict[str, Any]) -> None:
    """Money is text everywhere, in and out: a float would lose cents."""
    for name, schema in document["components"]["schemas"].items():
        for field, shape in schema.get("properties", {}).items():
            # A comparison holds figures of any metric, most of them rates.
            is_rate = name == "ComparisonAnswer" or field.startswith("conversion_rate")
            if re.search(r"(_amount|_value|^amount|revenue_\w+|velocity_per_day)$", field) and not is_rate:
                types = {shape.get("type"), *(option.get("type") for option in shape.get("anyOf", []))}
                assert "number" not in types, (name, field)
                assert "string" in types, (name, field)


def test_bounds_are_written_as_json_schema_has_them(document: dict[str, Any]) -> None:
    """pydantic writes a bound that it cannot place as `ge` or `le`, which no client reads."""
    days = document["components"]["schemas"]["NewToken"]["properties"]["expires_in_days"]
    assert (days["minimum"], days["maximum"]) == (1, 3650)

    def unknown(node: Any, place: str) -> Iterator[str]:
        if isinstance(node, list):
            node = dict(enumerate(node))
        if isinstance(node, dict):
            if node.get("type") in (
                "integer",
                "number",
            ):  # the bounds of decimals, which are text, are in their pattern
                yield from (place for word in ("ge", "gt", "le", "lt", "multiple_of") if word in node)
            for name, child in node.items():
                yield from unknown(child, f"{place}/{name}")

    assert list(unknown(document, "")) == []


def test_unknown_fields_are_refused_by_every_body(document: dict[str, Any]) -> None:
    """The description says so, and therefore generated clients know."""
    for path, method, operation in operations(document):
        if "requestBody" in operation:
            assert body_schema(document, operation)["additionalProperties"] is False, (method, path)


def test_the_guide_names_every_route_and_no_other(document: dict[str, Any]) -> None:
    """docs/rest.md lists what there is."""
    listed = set(re.findall(r"^\| (GET|POST|PATCH|DELETE) (/\S+)", GUIDE.read_text(), flags=re.MULTILINE))
    served = {(method.upper(), re.sub(r"\{\w+\}", "{id}", path)) for path, method, _ in operations(document)}
    assert listed == {(method, path.split("?")[0]) for method, path in served}


def test_the_guide_s_commands_work(client: TestClient, people: People, tmp_path: Path) -> None:
    """Each curl of the guide is sent as it stands, in order, and answers as the guide says."""
    write_sample(tmp_path, deals=5, agents=2, years=1, seed=1, until=date(2025, 12, 31))
    text = GUIDE.read_text()
    blocks = re.findall(r"```sh\n(curl .*?)\n```\n\n.*?(\d{3})", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    known = {"TOKEN": people.manager.token, "AGENT": people.anna.id}
    for command, status in blocks:
        for name, value in known.items():
            command = command.replace(f"${name}", value)
        form = re.findall(r"-F (\w+)=(\S+)", command)
        files = [(name, (value[1:], (tmp_path / value[1:]).read_bytes())) for name, value in form if value[0] == "@"]
        values = {name: value for name, value in form if value[0] != "@"}
        method = (re.search(r"-X (\w+)", command) or ["", "POST" if form or "-d " in command else "GET"])[1]
        headers = dict(header.split(": ", 1) for header in re.findall(r"-H ['\"](.+?)['\"](?=\s|$)", command))
        body = re.search(r"-d '(.+?)'", command, flags=re.DOTALL)
        address = re.search(r"http://127\.0\.0\.1:8000(/\S*?)['\"]?(?=\s|$)", command)
        assert address, command
        sent: dict[str, Any] = {"data": values, "files": files} if form else {"content": body[1] if body else None}
        response = client.request(method, address[1], headers=headers, **sent)
        assert response.status_code == int(status), (command, response.text)
        if method == "POST" and "DEAL" not in known and "id" in response.json():
            known["DEAL"] = response.json()["id"]


def test_the_page_of_problems_is_where_the_code_looks() -> None:
    """It ships with the code."""
    assert PROBLEMS_PAGE.is_file()
