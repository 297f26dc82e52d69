"""The record of imports: when a file came in, what became of its rows, which were turned away and why.

An import that adds nothing leaves a row in `imports` and no entry in the log: `import.started` is written together
with the first entry that the import causes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from ledger.access import Action, authorize
from ledger.actors import SYSTEM, Actor
from ledger.errors import ImportNotFound
from ledger.fold import record_entries
from ledger.identifiers import new_id
from ledger.log.chain import now_utc
from ledger.log.entry import Draft
from ledger.log.texts import commit_text
from ledger.tables import Import, ImportReject


def start_import(session: Session, actor: Actor, *, file_name: str, file_sha256: str, mapping: str) -> str:
    """Note that a file (SHA-256 in hex) is being imported through `mapping`; return the import's id."""
    authorize(session, actor, Action.IMPORT)
    now = now_utc()
    row = Import(
        id=new_id(),
        file_name=file_name,
        file_sha256=file_sha256,
        mapping=mapping,
        started_by=actor.id,
        is_logged=False,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def finish_import(
    session: Session, import_id: str, rows: int, accepted: int, rejected: int, *, actor: Actor = SYSTEM
) -> Import:
    """Note how an import ended; writes `import.finished` if the import had added anything."""
    if rows != accepted + rejected:
        raise ValueError(f"accepted {accepted} + rejected {rejected} must be the {rows} rows of the file")
    row = get_import(session, import_id)
    row.rows, row.accepted, row.rejected = rows, accepted, rejected
    row.finished_at = row.updated_at = now_utc()
    session.flush()
    if row.is_logged:
        data = {"rows": rows, "accepted": accepted, "rejected": rejected}
        record_entries(session, actor, [_draft("import.finished", import_id, data)])
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


def list_imports(session: Session, limit: int = 50) -> Sequence[Import]:
    """Return the latest imports, newest first."""
    return session.scalars(select(Import).order_by(Import.id.desc()).limit(limit)).all()


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


def list_rejects(session: Session, import_id: str) -> Sequence[ImportReject]:
    """Return the rows that an import turned away, in file order."""
    query = select(ImportReject).where(ImportReject.import_id == import_id)
    return session.scalars(query.order_by(ImportReject.file_name, ImportReject.line, ImportReject.id)).all()
