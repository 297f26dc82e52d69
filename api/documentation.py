"""What `/openapi.json` says beyond what the routes say themselves: errors as problem documents, receipts of changes."""

from typing import Any

from fastapi import FastAPI

from api import receipts
from api.problems import MEDIA_TYPE, ProblemDocument

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
    503: "Nothing is published yet: run `dealbook refresh`. For writes: the ledger is an old copy, see the problem.",
}
READS_ONLY = "x-reads-only"
"""Marks a POST that changes nothing: it looks at what is sent."""
_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """Return the `responses` of a route that may answer with these errors."""
    described: Responses = {status: {"model": ProblemDocument, "description": _MEANINGS[status]} for status in statuses}
    if 429 in described:
        described[429]["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return described


# What every route below /api/v1 may answer.
EVERYWHERE = problems(401, 422, 429, 500)
READS = problems(403, 404)
WRITES = problems(400, 403, 404, 409, 413, 503)
REVISED = problems(412, 428)
PUBLISHED = problems(403, 404, 503)


def documented_key() -> dict[str, Any]:
    """Return what the description of a POST says about `Idempotency-Key`."""
    return {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "Sent again with the same body within 30 days, the first answer comes back unchanged.",
            }
        ]
    }


def install(app: FastAPI) -> None:
    """Make the app's OpenAPI document show errors under their own media type, and the receipt at each change."""
    build = app.openapi

    def describe() -> dict[str, Any]:
        document = build()
        for operations in document["paths"].values():
            for method, operation in operations.items():
                if method != "get" and not operation.get(READS_ONLY):
                    _document_receipt(operation["responses"])
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if content.get("application/json", {}).get("schema") == _PROBLEM:
                        response["content"] = {MEDIA_TYPE: content["application/json"]}
        return document

    app.openapi = describe  # type: ignore[method-assign]


def _document_receipt(responses: dict[str, Any]) -> None:
    """Describe the receipt at the answers that tell of a change; 202 only promises one."""
    for status, response in responses.items():
        if status.startswith("2") and status != "202":
            response.setdefault("headers", {}).setdefault(receipts.HEADER, receipts.DOCUMENTED)
