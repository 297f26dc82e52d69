"""Checks of every answer beyond those that schemathesis has."""

import itertools
import json
import os
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from hypothesis import strategies as st

_counter = itertools.count()

# Days and times at the ends of the calendar, where what is computed from them leaves it, as often as all others.
_DAYS = ["0001-01-01", "1899-12-31", "2024-02-29", "2025-06-30", "9999-12-31"]
_TIMES = [
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "2024-02-29T23:59:59.999999Z",
    "9999-12-31T23:59:59-12:00",
]
schemathesis.openapi.format("date", st.sampled_from(_DAYS) | st.dates().map(str))
schemathesis.openapi.format(
    "date-time", st.sampled_from(_TIMES) | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
)


_KNOWN: dict[str, list[str]] = json.loads(os.environ.get("DEALBOOK_KNOWN", "{}"))
_HIDDEN: list[str] = json.loads(os.environ.get("DEALBOOK_HIDDEN", "[]"))
_ODD_TEXT = "Gr\u00f6\u00dfe \U0001f3e2 e\u0301 '\"\\%_{}<b>& \u2028\u202e\x7f\x01\t!"
"""Characters that some code somewhere takes for its own: of SQL, of patterns, of HTML, beyond 16 bits, unseen."""


@schemathesis.hook
def before_load_schema(ctx: Any, raw_schema: Any) -> None:
    """Give as examples what is there, in whatever revision, and odd texts: every operation meets both.

    Identifiers made up lead nowhere, and only those who may write make others on the way.
    """
    schemas = raw_schema["components"]["schemas"]
    for operation in [one for operations in raw_schema["paths"].values() for one in operations.values()]:
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            values = ["*"] if name == "if-match" else _KNOWN.get(name, [])
            if parameter["in"] == "query" and name != "cursor" and _is_text(parameter["schema"]):
                values = [_ODD_TEXT]
            if values:
                parameter["examples"] = {str(place): {"value": value} for place, value in enumerate(values)}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = schemas[body["schema"]["$ref"].rpartition("/")[2]] if body else {}
        if "examples" in schema:
            given = schema["examples"][0]
            odd = {name: _ODD_TEXT for name, field in schema["properties"].items() if _is_text(field)}
            odd = {name: text for name, text in odd.items() if name != "email" and not name.endswith("_id")}
            body["examples"] = {"ordinary": {"value": given}, "odd": {"value": given | odd}}


def _is_text(schema: Any) -> bool:
    """Whether any text of this length is accepted, as its description has it."""
    options = schema.get("anyOf", [schema])
    return any(
        one.get("pattern", "").startswith("^[^\\x00]*") and one.get("maxLength", 0) >= len(_ODD_TEXT) for one in options
    )


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give every request a key of its own: a replayed answer says nothing about the request that it answers."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 200:
        case.headers["Idempotency-Key"] = f"{key}-{next(_counter)}"


@schemathesis.hook
def filter_case(ctx: Any, case: Any) -> bool:
    """Leave out forms with a number, a truth value or a null: sent as texts, they are as good as any other."""
    is_form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (is_form and any(isinstance(value, int | float | None) for value in case.body.values()))


# What may be refused for its form. Parameters that go together: each is well formed, together they may not be.
_BEYOND = "In UTC it lies beyond the years"  # described in words: no schema can say it
_TOGETHER = ("query.agent_id", "query.per", "query.from", "query.to", "query.as_of")


@schemathesis.check
def form_is_described(ctx: Any, response: Any, case: Any) -> None:
    """What the description allows is never refused for its form; other reasons have problem types of their own."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    problem = json.loads(response.content)
    if problem["type"] not in ("/problems/request-invalid", "/problems/request-malformed"):
        return
    errors = problem.get("errors", [])
    if errors and all(error["location"] in _TOGETHER or _BEYOND in error["message"] for error in errors):
        return
    raise AssertionError(f"well formed by the description, and refused: {problem}")


@schemathesis.check
def errors_are_problems(ctx: Any, response: Any, case: Any) -> None:
    """Every answer from 400 on is a problem document whose type is served, and shows nothing of our insides."""
    if response.status_code < 400 or case.operation.path == "/readyz":
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers["content-type"]
    problem = json.loads(response.content)
    assert problem["type"].startswith("/problems/"), problem
    assert problem["status"] == response.status_code
    assert problem["detail"]
    assert not {"Traceback", "sqlite3", "sqlalchemy"} & set(problem["detail"].split()), problem


@schemathesis.check
def nothing_hidden_is_shown(ctx: Any, response: Any, case: Any) -> None:
    """No success is about what the caller may not see, or holds any of it."""
    if response.status_code >= 300:
        return
    shown = [
        text for text in _HIDDEN if text.encode() in response.content or text in (case.path_parameters or {}).values()
    ]
    assert not shown, shown


_READ_AT = {"/api/v1/deals": "/api/v1/deals", "/api/v1/deals/{deal_id}/commissions": "/api/v1/commissions"}


@schemathesis.check
def what_is_made_is_there(ctx: Any, response: Any, case: Any) -> None:
    """The identifier of a new deal or commission leads to it: sequences that follow it are too few to tell."""
    if response.status_code == 201 and case.operation.path in _READ_AT:
        sent = urlsplit(response.request.url)
        address = f"{sent.scheme}://{sent.netloc}{_READ_AT[case.operation.path]}/{json.loads(response.content)['id']}"
        headers = {"Authorization": response.request.headers["Authorization"]}
        assert requests.get(address, headers=headers, timeout=60).status_code == 200, address
