"""The record of imports: when files came in, what became of their rows, which were turned away and why.

An import that adds nothing leaves a row in `imports` and no entry in the log: `import.started` is written together
with the first entry that the import causes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from ledger.access import Action, authorize
from ledger.actors import SYSTEM, Actor
from ledger.deal_lists import MAX_PAGE, encode_cursor, place_after
from ledger.errors import ImportNotFound
from ledger.fold import record_entries
from ledger.identifiers import new_id
from ledger.log.chain import now_utc
from ledger.log.entry import Draft
from ledger.log.texts import commit_text
from ledger.tables import Import, ImportReject

ImportKind = Literal["crm", "reference"]
ImportOutcome = Literal["imported", "dry run", "refused", "failed"]


def start_import(
    session: Session,
    actor: Actor,
    *,
    file_name: str,
    file_sha256: str,
    mapping: str,
    kind: ImportKind = "crm",
    is_dry_run: bool = False,
    is_strict: bool = False,
) -> str:
    """Note that files (SHA-256 in hex) are being imported through `mapping`; return the import's id."""
    authorize(session, actor, Action.IMPORT)
    now = now_utc()
    row = Import(
        id=new_id(),
        file_name=file_name,
        file_sha256=file_sha256,
        mapping=mapping,
        started_by=actor.id,
        is_logged=False,
        kind=kind,
        is_dry_run=is_dry_run,
        is_strict=is_strict,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def finish_import(
    session: Session,
    import_id: str,
    rows: int,
    accepted: int,
    rejected: int,
    *,
    actor: Actor = SYSTEM,
    outcome: ImportOutcome = "imported",
    report: dict[str, Any] | None = None,
) -> Import:
    """Note how an import ended; writes `import.finished` if the import had added anything."""
    if rows != accepted + rejected:
        raise ValueError(f"accepted {accepted} + rejected {rejected} must be the {rows} rows of the file")
    row = get_import(session, import_id)
    row.rows, row.accepted, row.rejected = rows, accepted, rejected
    row.outcome, row.report = outcome, report
    row.finished_at = row.updated_at = now_utc()
    session.flush()
    if row.is_logged:
        data = {"rows": rows, "accepted": accepted, "rejected": rejected}
        record_entries(session, actor, [_draft("import.finished", import_id, data)])
    return row


def fail_import(session: Session, import_id: str, problem: str) -> Import:
    """Note that an import could not be done to its end; what had gone in by then stays."""
    row = get_import(session, import_id)
    row.outcome, row.problem = "failed", problem
    row.finished_at = row.updated_at = now_utc()
    session.flush()
    return row


def draft_start(row: Import) -> Draft:
    """Return the entry that begins an import's chain."""
    texts: list[tuple[str, bytes, str]] = []
    data = {
        "file_name": commit_text(row.file_name, texts, "file_name"),
        "sha256": row.file_sha256,
        "mapping": row.mapping,
    }
    draft = _draft("import.started", row.id, data)
    draft.texts = texts
    return draft


def _draft(kind: str, import_id: str, data: dict[str, Any]) -> Draft:
    return Draft(f"import:{import_id}", kind, "import", import_id, data)


def get_import(session: Session, import_id: str) -> Import:
    """Return the import or raise `ImportNotFound`."""
    row = session.get(Import, import_id)
    if row is None:
        raise ImportNotFound(import_id)
    return row


def read_import(session: Session, actor: Actor, import_id: str) -> Import:
    """Return the import for whoever may import; raise `ImportNotFound`."""
    authorize(session, actor, Action.IMPORT)
    return get_import(session, import_id)


def page_imports(
    session: Session, actor: Actor, cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[Import], str | None]:
    """Return a page of imports, newest first, and the cursor of the next (the right to import)."""
    authorize(session, actor, Action.IMPORT)
    limit = max(1, min(limit, MAX_PAGE))
    query = select(Import)
    if cursor:
        query = query.where(tuple_(Import.created_at, Import.id) < place_after(cursor))
    rows = session.scalars(query.order_by(Import.created_at.desc(), Import.id.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(page[-1].created_at, page[-1].id)


def record_rejects(session: Session, import_id: str, rejects: Iterable[Mapping[str, Any]]) -> None:
    """Keep rows that were turned away; each has file_name, line (from 1), column, value, reason."""
    rows = [
        {
            "import_id": import_id,
            "file_name": reject["file_name"],
            "line": reject["line"],
            "column": reject.get("column"),
            "value": reject.get("value"),
            "reason": reject["reason"],
        }
        for reject in rejects
    ]
    if rows:
        session.execute(insert(ImportReject), rows)


def iterate_rejects(session: Session, import_id: str) -> Iterator[ImportReject]:
    """Yield the rows that an import turned away, in file order, a thousand at a time."""
    query = select(ImportReject).where(ImportReject.import_id == import_id)
    ordered = query.order_by(ImportReject.file_name, ImportReject.line, ImportReject.id)
    yield from session.scalars(ordered.execution_options(yield_per=1_000))


def list_rejects(session: Session, import_id: str) -> Sequence[ImportReject]:
    """Return the rows that an import turned away, in file order."""
    return list(iterate_rejects(session, import_id))
