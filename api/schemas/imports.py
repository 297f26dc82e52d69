"""Imports as clients send and see them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.fields import Answer, Identifier, Time

Count = Annotated[int, Field(ge=0)]
State = Literal["queued", "running", "done", "failed", "interrupted"]

_FILES = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "minItems": 1,
    "maxItems": 20,
}
_FLAG = {"type": "string", "enum": ["true", "false"], "default": "false"}
MAPPING_NAME: dict[str, Any] = {"type": "string", "description": "For CRM files: a name that `GET /mappings` lists."}
"""The names are filled in when the API is described: whoever adds a mapping need not say so here."""
_OF_CRM = {"type": "string", "enum": ["crm"]}
IMPORT_FORM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["files"],
    "properties": {
        "files": _FILES
        | {"description": "Files that belong together: CSV (also .gz) or Parquet; reference files also JSON."},
        "kind": {"type": "string", "enum": ["crm", "reference"], "default": "crm"},
        "mapping": MAPPING_NAME,
        "mapping_file": {
            "type": "string",
            "format": "binary",
            "description": "For CRM files: a mapping of your own, TOML.",
        },
        "dry_run": _FLAG | {"description": "Write nothing; report what would have been."},
        "strict": _FLAG
        | {"description": "For CRM files, all or nothing: one row that is turned away keeps everything out."},
    },
    "oneOf": [
        {
            "title": "A CRM export, read by a mapping that comes with dealbook",
            "required": ["mapping"],
            "properties": {"kind": _OF_CRM, "mapping_file": False},
        },
        {
            "title": "A CRM export, read by a mapping of your own",
            "required": ["mapping_file"],
            "properties": {"kind": _OF_CRM, "mapping": False},
        },
        {
            "title": "Reference files, told by their columns",
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["reference"]},
                "strict": {"type": "string", "enum": ["false"]},
                "mapping": False,
                "mapping_file": False,
            },
        },
    ],
    "examples": [{"files": ["deals.csv", "stage_history.csv"], "mapping": "sample_crm", "dry_run": "true"}],
}
PROPOSAL_FORM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["files"],
    "properties": {
        "files": _FILES | {"description": "Files of one export; some hundred rows of each are looked at."},
        "source": {
            "type": "string",
            "description": "A short name for the CRM. Deals are known again by it, so it must not change later.",
        },
    },
    "examples": [{"files": ["deals.csv", "stage_history.csv"], "source": "our_crm"}],
}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a route that takes files; the endings of their names say what they are."""
    names = {"files": "deals.csv", "mapping_file": "our_crm.toml"}
    encoding = {
        part: {
            "headers": {
                "Content-Disposition": {
                    "schema": {"type": "string"},
                    "example": f'form-data; name="{part}"; filename="{name}"',
                }
            }
        }
        for part, name in names.items()
        if part in schema["properties"]
    }
    content = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    return {"requestBody": {"required": True, "content": content}}


class ImportProgress(Answer):
    """How far it is; `total` is null while nobody knows."""

    step: str = Field(examples=["deals"])
    done: Count
    total: Count | None


class ImportedFile(Answer):
    """What became of the rows of a file: `accepted + rejected == rows`; blank lines are no rows."""

    name: str
    section: str = Field(examples=["deals"], description="Which part of the mapping read it, or the kind of figures.")
    rows: Count
    accepted: Count
    created: Count
    changed: Count = 0
    unchanged: Count
    rejected: Count
    blank_lines: Count = 0
    passed_over: Count = Field(default=0, description="Rows of other matters, which the mapping leaves out.")
    rows_dated_by_mapping: Count = 0
    ambiguous_dates: Count = Field(default=0, description="Dates that fit several formats; the first one counted.")


class RejectReason(Answer):
    """A reason and how many rows were turned away for it."""

    reason: str
    rows: Count


class ImportReportAnswer(Answer):
    """What became of all files. Of a dry run: what would have."""

    files: list[ImportedFile]
    entries: Count = Field(default=0, description="Entries written to the log.")
    agents_created: list[str] = Field(default_factory=list, description="People who were unknown and have been added.")
    reasons: list[RejectReason] = Field(description="The five most frequent ones.")
    seconds: float | None = None


class ImportAnswer(Answer):
    """An import. `interrupted`: the service was stopped in the middle; importing again adds only what is missing."""

    id: Identifier
    kind: Literal["crm", "reference"]
    state: State
    outcome: Literal["imported", "dry_run", "refused", "failed"] | None
    file_name: str = Field(examples=["deals.csv, stage_history.csv"])
    file_sha256: str = Field(description="Of the file; of several: of what `sha256sum` prints for them.")
    mapping: str
    dry_run: bool
    strict: bool
    started_by: Identifier
    started_at: Time
    finished_at: Time | None
    rows: Count | None
    accepted: Count | None
    rejected: Count | None
    progress: ImportProgress | None
    report: ImportReportAnswer | None
    problem: str | None = Field(description="Why it failed, and what to do.")


class ImportPage(Answer):
    """Imports, newest first."""

    items: list[ImportAnswer]
    next_cursor: str | None


class MappingAnswer(Answer):
    """A mapping that comes with dealbook."""

    name: str = Field(examples=["hubspot"])
    description: str
    sections: list[str] = Field(examples=[["deals", "stage_events"]])


class MappingList(Answer):
    """All of them, by name."""

    items: list[MappingAnswer]
    next_cursor: None = None


class ProposalAnswer(Answer):
    """A mapping for files that nobody has described yet. `missing` must be filled in before it can be used."""

    mapping: str = Field(description="TOML, with comments where something is open.")
    missing: list[str]
    doubts: list[str] = Field(description="What was assumed and should be looked at.")
    looks_like: list[str] = Field(description="Mappings that come with dealbook and fit these files, too.")
