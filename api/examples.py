"""An example of every answer, put together from the examples of its fields, so that the two can never disagree."""

from typing import Any

from api.problems import OWN_STATUSES

Schema = dict[str, Any]
_BY_FORMAT = {"date": "2026-08-23", "date-time": "2026-08-23T10:11:12.123456Z"}
_BY_PATTERN = {"^[0-9a-f]{64}$": "9f" * 32, "^[A-Z]{3}$": "SGD"}
_IDENTIFIER = "0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e"
_BY_NAME = {
    "title": "Level 12, Harbour Tower",
    "description": "Two floors, fitted, from March",
    "lead_source": "referral",
    "external_ref": "crm:1042",
    "subject_kind": "deal",
    "note": "Offer received",
    "reason": "The introduction was ours",
    "name": "Anna Lim",
    "agent_name": "Anna Lim",
    "email": "anna@example.com",
    "phone": "+65 6123 4567",
    "company": "Harbour Holdings",
    "contact_type": "counterparty",
    "document_type": "lease",
    "uri": "https://files.example.com/leases/harbour-12.pdf",
    "mime_type": "application/pdf",
    "sha256": "9f" * 32,
    "hint": "9K2m",
    "metric_key": "conversion_rate",
    "next_cursor": "MjAyNi0wOC0yM3w0Mg",
}
# Where a status has several problems, the one that readers meet first.
_TYPICAL = {403: "not-permitted", 404: "deal-not-found", 409: "stage-not-reachable", 422: "request-invalid"}


def example_of(schema: Schema, known: dict[str, Schema], name: str = "") -> Any:
    """Return a value for the field `name` that `schema` allows; `known` holds what it refers to, by name."""
    if "$ref" in schema:
        return example_of(known[schema["$ref"].rpartition("/")[2]], known, name)
    for word in ("examples", "enum"):
        if schema.get(word):
            return schema[word][0]
    if "const" in schema:
        return schema["const"]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            option = next((one for one in schema[word] if one.get("type") != "null"), schema[word][0])
            return example_of(option, known, name)
    match schema.get("type"):
        case "object":
            return {field: example_of(inner, known, field) for field, inner in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema["items"], known)] if schema.get("items") else []
        case "string":
            known_form = _BY_FORMAT.get(schema.get("format", "")) or _BY_PATTERN.get(schema.get("pattern", ""))
            return known_form or _BY_NAME.get(name) or (_IDENTIFIER if name.endswith("_id") else "text")
        case "integer":
            return max(1, schema.get("minimum", 1))
        case "number":
            return max(0.5, schema.get("minimum", 0.5))
        case "boolean":
            return True
        case _:
            return None


def example_of_problem(status: int, detail: str) -> dict[str, Any]:
    """Return a problem document with this status."""
    code = _TYPICAL.get(status) or next(code for code, answered in OWN_STATUSES.items() if answered == status)
    return {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
