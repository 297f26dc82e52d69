"""Requests that write are read directly, and nobody can tell: every answer is the one that FastAPI's own way gives."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient

from api.direct_writes import DirectWrite, plan_direct_write
from api.main import create_app
from api.routes import attachments, commissions, deals, people
from api.schemas import deals as shapes
from api.writing import WriteRoute, begin_write
from ledger.settings import Settings
from tests.api.conftest import Client, People, Templates
from tests.api.test_deals import OFFICE, open_deal
from tests.support.stores import Store

JSON = {"Content-Type": "application/json"}
REQUESTS: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("POST", "", b'{"title":"T","asset_type":"land","deal_type":"lease"}', {}),
    ("POST", "", b'{"title":"T","asset_type":"moon","deal_type":"lease","x":1}', {}),
    ("POST", "", b'{"title":"T"', {}),
    ("POST", "", b"", {}),
    ("POST", "", b"[]", {}),
    ("POST", "", b"\xff", {}),
    ("POST", "", b'{"title":"T","asset_type":"land","deal_type":"lease"}', {"Content-Type": "text/plain"}),
    ("POST", "", b'{"title":"T","asset_type":"land","deal_type":"lease"}', {"Content-Type": "application/json; a=b"}),
    ("POST", "?x=1", b'{"title":"T","asset_type":"land","deal_type":"lease"}', {}),
    ("POST", "", b'{"title":"K","asset_type":"land","deal_type":"lease"}', {"Idempotency-Key": "one"}),
    ("POST", "", b'{"title":"K","asset_type":"land","deal_type":"lease"}', {"Idempotency-Key": "one"}),
    ("POST", "", b'{"title":"L","asset_type":"land","deal_type":"lease"}', {"Idempotency-Key": "one"}),
    ("PATCH", "/{deal}", b'{"confidence":"0.70"}', {}),
    ("PATCH", "/{deal}", b'{"confidence":"0.70"}', {"If-Match": '"7", "8"'}),
    ("PATCH", "/{deal}", b'{"confidence":"0.70"}', {"If-Match": '"1"'}),
    ("PATCH", "/{deal}", b'{"confidence":0.70}', {"If-Match": "*"}),
    ("PATCH", "/%00", b'{"confidence":"0.70"}', {"If-Match": "*"}),
    ("PATCH", f"/{'x' * 99}", b'{"confidence":"0.70"}', {"If-Match": "*"}),
    ("POST", "/{deal}/stage", b'{"to_stage":"proposal","note":"\\ud83d\\ude00"}', {"If-Match": "*"}),
    ("POST", "/{deal}/stage", b'{"to_stage":"proposal"}', {"If-Match": "*"}),
    ("POST", "/{deal}/stage", b'{"to_stage":"proposal"}', {"If-Match": "*", "Authorization": "Bearer x"}),
    ("POST", "/{deal}/stage", b'{"to_stage":"nowhere"}', {"If-Match": "*", "Authorization": "Bearer x"}),
    ("POST", "/{deal}/cancel", b'{"reason":"Withdrawn"}', {}),
    ("POST", "/{deal}/contacts", b'{"name":"Mary"}', {}),
    ("DELETE", "/{deal}/contacts/none", b"", {}),
    ("POST", "/none/contacts", b'{"name":"Mary"}', {}),
    ("POST", "/{deal}/contacts", b'{"name":"' + b"x" * 2**20 + b'"}', {}),
]  # fmt: skip
MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[0-9:.]+Z|\"duration_seconds\":[0-9.e-]+")


def answers_of(client: TestClient, people: People) -> list[Any]:
    """Send all requests; return status, names of headers and body of each answer, without what is made anew."""
    deal = open_deal(client, people.anna)["id"]
    found = []
    for method, path, content, headers in REQUESTS:
        address = f"/api/v1/deals{path.replace('{deal}', deal)}"
        answer = client.request(method, address, content=content, headers=people.anna.auth | JSON | headers)
        found.append((method, path, answer.status_code, sorted(answer.headers), MADE.sub("…", answer.text)))
    return found


def test_every_answer_is_that_of_the_ordinary_way(
    store: Store, templates: Templates, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same requests, right and wrong, to two apps, one of which leaves everything to FastAPI."""
    directly: list[bool] = []
    answer_directly = DirectWrite.answer

    async def watched(self: DirectWrite, request: Request) -> Response | None:
        answer = await answer_directly(self, request)
        directly.append(answer is not None)
        return answer

    async def never(_self: DirectWrite, _request: Request) -> None:
        return None

    found = []
    for name, way in (("direct", watched), ("ordinary", never)):
        monkeypatch.setattr(DirectWrite, "answer", way)
        with Client(serve(store.copy(templates(store)[0], tmp_path / name)), raise_server_exceptions=False) as client:
            found.append(answers_of(client, people))
    for direct, ordinary in zip(*found, strict=True):
        assert direct == ordinary
    assert {status for _, _, status, _, _ in found[0]} >= {200, 201, 401, 404, 409, 412, 413, 422, 428}
    assert directly.count(True) >= 7
    assert directly.count(False) >= 8


def serve(settings: Settings) -> Any:
    return create_app(settings, with_workspace=False)


def test_every_route_that_writes_is_read_directly() -> None:
    """A route that begins to ask for something else would go the long way unseen."""
    routes = [
        route
        for module in (attachments, commissions, deals, people)
        for route in module.router.routes
        if isinstance(route, WriteRoute) and route.methods != {"GET"}
    ]
    assert len(routes) > 15
    assert [route.path for route in routes if plan_direct_write(route, {begin_write: begin_write}) is None] == []


def test_a_timeline_is_written_as_it_is_described(client: TestClient, people: People) -> None:
    """Its JSON is made without the models of the description: read and written by them it is the same, to the byte."""
    deal = open_deal(client, people.anna)["id"]
    address, any_of_it = f"/api/v1/deals/{deal}", {"If-Match": "*"}
    line = {"commission_type": "bonus", "basis_amount": "1000.00", "basis_currency": "SGD", "commission_rate": "0.1"}
    opened_at = client.get(address, headers=people.anna.auth).json()["created_at"]
    for path, body in (
        ("/stage", {"to_stage": "proposal", "note": 'Größe "x" \u2028 /\\'}),
        ("/contacts", {"name": "Mary", "notes": "old"}),
        ("/documents", {"document_type": "lease", "title": "L", "uri": "https://e.com/1", "metadata": {"a": 1e17}}),
        ("/commissions", line),
        ("/stage", {"to_stage": "negotiation", "effective_at": opened_at}),
    ):
        answer = client.post(address + path, json=body, headers=people.anna.auth | any_of_it)
        assert answer.status_code in (200, 201), answer.text
    moved = client.post(f"{address}/stage", json={"to_stage": "agreement"}, headers=people.anna.auth | any_of_it)
    entries = shapes.Timeline.model_validate({"items": moved.json()["timeline"]}).model_dump_json()
    entries = entries.removeprefix('{"items":').removesuffix(',"next_cursor":null}')
    assert moved.text == f'{{"deal":{client.get(address, headers=people.anna.auth).text},"timeline":{entries}}}'
    told = client.get(f"{address}/timeline", headers=people.anna.auth)
    assert told.text == shapes.Timeline.model_validate_json(told.content).model_dump_json()
    assert len(told.json()["items"]) == 7
    assert told.headers["etag"] == '"7"'
    assert OFFICE["title"] in told.text
