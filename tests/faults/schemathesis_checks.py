"""Checks of every answer beyond those that schemathesis has."""

import itertools
import json
from typing import Any

import schemathesis

_counter = itertools.count()


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give every request a key of its own: a replayed answer says nothing about the request that it answers."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 200:
        case.headers["Idempotency-Key"] = f"{key}-{next(_counter)}"


# Parameters that go together: each is well formed, together they may not be.
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
    if errors and all(error["location"] in _TOGETHER for error in errors):
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
