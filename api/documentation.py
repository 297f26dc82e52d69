"""What `/openapi.json` says beyond what the routes say themselves: errors as problem documents, receipts of changes."""

from typing import Any

from fastapi import FastAPI

from api import receipts
from api.examples import example_of, example_of_problem
from api.problems import MEDIA_TYPE, ProblemDocument
from api.schemas.fields import IDEMPOTENCY_KEY
from api.schemas.imports import MAPPING_NAME

_MEANINGS = {
    400: "The request could not be read.",
    401: "No credential, or none that is valid.",
    403: "Seen, but not allowed to you; or a change by cookie from a foreign page.",
    404: "It does not exist, or you may not see it: the two look the same.",
    409: "Not possible from where it stands; `reachable` names what is.",
    412: "It changed since you read it: read it again.",
    413: "The body is larger than 1 MiB; of an import, larger than whoever runs the service allows.",
    422: "Something in the request can never be accepted; `errors` lists what.",
    429: "Too many requests from this address or with this credential; `Retry-After` says when to go on.",
    428: "Send the `ETag` that you have read as `If-Match`.",
    500: "Our fault; nothing was changed.",
    503: "Nothing is published yet, the ledger does not answer, or (for writes) it is an old copy: see the problem.",
    507: "The disk is full; nothing was changed, and reading goes on.",
}
_RETRY_AFTER = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
_WHEN_REFUSED: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`.", "required": True, "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
    507: _RETRY_AFTER,
}
_ETAG: dict[str, Any] = {
    "description": "The revision in quotes; send it back as `If-Match`.",
    "required": True,
    "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$'},
    "example": '"7"',
}
_LOCATION: dict[str, Any] = {"description": "Address of what was made.", "required": True, "schema": {"type": "string"}}
_REPLAY: dict[str, Any] = {
    "description": "Sent with `true` when the request was answered before and this is that answer.",
    "schema": {"type": "string", "enum": ["true"]},
}
_REVISED_ANSWERS = frozenset({"DealAnswer", "DealWithTimeline", "Timeline", "CommissionAnswer"})
_LOCATED = frozenset({"/api/v1/deals", "/api/v1/imports"})
WRITES_NO_ENTRY = "x-writes-no-entry"
"""Marks a POST that adds nothing to the log, and so has no receipt."""
_CREDENTIALS: list[dict[str, list[str]]] = [{"HTTPBearer": []}, {"APIKeyCookie": []}]
"""Who writes must say who it is, in either way; routes that read say so themselves (`get_reader`)."""
_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """Return the `responses` of a route that may answer with these errors."""
    described: Responses = {status: {"model": ProblemDocument, "description": _MEANINGS[status]} for status in statuses}
    for status in statuses:
        if status in _WHEN_REFUSED:
            described[status]["headers"] = _WHEN_REFUSED[status]
    return described


# What every route below /api/v1 may answer.
EVERYWHERE = problems(401, 422, 429, 500, 503)
READS = problems(403, 404)
WRITES = problems(400, 403, 404, 409, 413, 507)
REVISED = problems(412, 428)
REVISED_IF_ASKED = problems(412)
PUBLISHED = problems(403, 404)


def documented_key() -> dict[str, Any]:
    """Return what the description of a POST says about `Idempotency-Key`."""
    return {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": IDEMPOTENCY_KEY},
                "description": "Sent again with the same body within 30 days, the first answer comes back unchanged. "
                "A change of a commission is never made twice under one key, however late.",
            }
        ]
    }


def _require(operation: dict[str, Any], header: str) -> None:
    """Say that a header must be sent. Its own problem answers when it is not, which FastAPI could not do."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "header" and parameter["name"] == header:
            parameter["required"] = True
            options = parameter["schema"].pop("anyOf", [{"type": "string"}])
            parameter["schema"] |= next(option for option in options if option["type"] != "null")


# What a POST makes, and by which name the addresses that lead on call it.
_MADE = {
    "/api/v1/deals": "deal_id",
    "/api/v1/deals/{deal_id}/contacts": "contact_id",
    "/api/v1/deals/{deal_id}/documents": "document_id",
    "/api/v1/deals/{deal_id}/commissions": "commission_id",
    "/api/v1/commissions/{commission_id}/disputes": "dispute_id",
    "/api/v1/tokens": "token_id",
}


def _link_what_is_made(paths: dict[str, Any]) -> None:
    """Say where the identifier in the answer to a POST leads: OpenAPI links, for generated clients and tests."""
    for made_at, name in _MADE.items():
        links: dict[str, Any] = {}
        for path, operations in paths.items():
            if f"{{{name}}}" not in path:
                continue
            for operation in operations.values():
                given = {name: "$response.body#/id"}
                if "deal_id" in path and name != "deal_id":
                    given["deal_id"] = "$request.path.deal_id"
                if name in ("deal_id", "commission_id") and _takes(operation, "if-match"):
                    given["header.if-match"] = "$response.header.etag"
                links[operation["operationId"]] = {"operationId": operation["operationId"], "parameters": given}
        paths[made_at]["post"]["responses"]["201"]["links"] = links


def _takes(operation: dict[str, Any], header: str) -> bool:
    return any(parameter["name"] == header for parameter in operation.get("parameters", []))


def install(app: FastAPI) -> None:
    """Make the app's OpenAPI document show errors under their own media type, and the receipt at each change."""
    build = app.openapi

    def describe() -> dict[str, Any]:
        from ingestion.crm_files import shipped_mappings  # a second to import, and only who reads this needs it

        MAPPING_NAME["enum"] = shipped_mappings()
        document = build()
        _link_what_is_made(document["paths"])
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _document_headers(path, method, operation)
                if method != "get" and not operation.get(WRITES_NO_ENTRY):
                    _document_receipt(operation["responses"])
                    operation.setdefault("security", _CREDENTIALS)
                if "428" in operation["responses"]:
                    _require(operation, "if-match")
                for status, response in operation["responses"].items():
                    _finish_answer(int(status), response, document["components"]["schemas"])
        return document

    app.openapi = describe  # type: ignore[method-assign]


def _document_headers(path: str, method: str, operation: dict[str, Any]) -> None:
    """Describe what stands beside the body of a success: the revision, where the new thing is, that it is a replay."""
    for status, response in operation["responses"].items():
        if not status.startswith("2"):
            continue
        headers: dict[str, Any] = {}
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if schema.get("$ref", "").rpartition("/")[2] in _REVISED_ANSWERS:
            headers["ETag"] = _ETAG
        if path in _LOCATED and method == "post":
            headers["Location"] = _LOCATION
        if _takes(operation, "Idempotency-Key"):
            headers["Idempotent-Replay"] = _REPLAY
        if headers:
            response.setdefault("headers", {}).update(headers)


def _finish_answer(status: int, response: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put errors under their own media type, and an example at every JSON answer."""
    content = response.get("content", {})
    described = content.get("application/json")
    if described is None:
        return
    if described["schema"] == _PROBLEM:
        described["example"] = example_of_problem(status, response["description"])
        response["content"] = {MEDIA_TYPE: described}
    elif described["schema"]:
        described["example"] = example_of(described["schema"], schemas)


def _document_receipt(responses: dict[str, Any]) -> None:
    """Describe the receipt at the answers that tell of a change; 202 only promises one."""
    for status, response in responses.items():
        if status.startswith("2") and status != "202":
            response.setdefault("headers", {}).setdefault(receipts.HEADER, receipts.DOCUMENTED)
