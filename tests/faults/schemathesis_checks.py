"""Checks of every answer beyond those that schemathesis has."""

import itertools
import json
from typing import Any

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


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give every request a key of its own: a replayed answer says nothing about the request that it answers."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 200:
        case.headers["Idempotency-Key"] = f"{key}-{next(_counter)}"


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
