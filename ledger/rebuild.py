"""The tables again, from the log alone: what they should hold, and where they hold something else.

A direct edit of a protected table shows here, because the log does not know of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ledger.columns import parse_time
from ledger.databases import defer_foreign_keys
from ledger.fold import TABLE_OF, Row, fold_entry, table_of
from ledger.log.entry import Entry
from ledger.tables.log import AuditLog, AuditPending, AuditText

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A row or column in which table and log disagree; `column` None means the whole row."""

    table: str
    id: str
    column: str | None
    expected: Any
    found: Any


def read_entries(session: Session, since_n: int = 0) -> Iterator[Entry]:
    """Return the entries from leaf index `since_n` on, decoded from their bodies, in bounded memory.

    Those that have no leaf index yet come last: the tables already tell of them.
    """
    last = since_n - 1
    while True:
        query = select(AuditLog.n, AuditLog.hash, AuditLog.body).where(AuditLog.n > last).order_by(AuditLog.n)
        rows = session.execute(query.limit(_BATCH)).all()
        for _, digest, body in rows:
            yield decode_entry(digest, body)
        if not rows:
            break
        last = rows[-1].n
    waiting = select(AuditPending.hash, AuditPending.body).order_by(AuditPending.arrival)
    for digest, body in session.execute(waiting):
        yield decode_entry(digest, body)


def decode_entry(digest: bytes, body: bytes) -> Entry:
    """Return the entry that these stored bytes hold."""
    document = msgspec.json.decode(body)
    subject = document["subject"]
    return Entry(
        chain=document["chain"],
        seq=document["seq"],
        id=document["id"],
        type=document["type"],
        at=parse_time(document["at"]),
        effective_at=parse_time(document["effective_at"]),
        actor_id=document["actor"]["id"],
        subject_kind=subject["kind"],
        subject_id=subject["id"],
        revision=subject["rev"],
        data=document["data"],
        hash=digest,
    )


def rebuild_tables(session: Session) -> dict[str, dict[str, Row]]:
    """Fold the whole log: subject kind -> id -> row. Texts come from the side table, None where erased."""
    query = select(AuditText.commitment, AuditText.text)
    texts: dict[str, str | None] = {row.commitment: row.text for row in session.execute(query)}
    tables: dict[str, dict[str, Row]] = {kind: {} for kind in TABLE_OF}
    for entry in read_entries(session):
        for change in fold_entry(entry, texts):
            if change.is_new:
                tables[change.kind][change.id] = change.values
            else:
                tables[change.kind][change.id].update(change.values)
    return tables


def compare_tables(session: Session) -> list[Difference]:
    """Return every difference between the protected tables and the fold of the log."""
    differences: list[Difference] = []
    for kind, expected in rebuild_tables(session).items():
        found = {row["id"]: row for row in session.execute(select(table_of(kind))).mappings()}
        differences += _compare(TABLE_OF[kind], expected, found)
    return differences


def restore_tables(session: Session) -> list[Difference]:
    """Make the protected tables what the log says, from nothing, in the caller's write; return what had differed.

    Rows that the log knows nothing of go, rows that are missing come back, edited ones are put right. Only for a log
    that was verified: a false log would make false tables.
    """
    connection = session.connection()
    defer_foreign_keys(connection)  # rows are put right one after the other
    expected = rebuild_tables(session)
    differences = compare_tables(session)
    wrong: dict[str, dict[str, Difference]] = {}
    for each in differences:
        wrong.setdefault(each.table, {}).setdefault(each.id, each)
    for kind in reversed(TABLE_OF):
        table, rows = table_of(kind), wrong.get(TABLE_OF[kind], {})
        extra = [row_id for row_id in rows if row_id not in expected[kind]]
        for start in range(0, len(extra), 5_000):
            connection.execute(delete(table).where(table.c.id.in_(extra[start : start + 5_000])))
    for kind in TABLE_OF:
        table, rows = table_of(kind), wrong.get(TABLE_OF[kind], {})
        missing = [expected[kind][row_id] for row_id, each in rows.items() if each.found == "no row"]
        if missing:
            connection.execute(insert(table), missing)
        for row_id, each in rows.items():
            if each.column is not None:
                connection.execute(update(table).where(table.c.id == row_id).values(expected[kind][row_id]))
    return differences


def _compare(table: str, expected: Mapping[str, Row], found: Mapping[str, Any]) -> Iterator[Difference]:
    for row_id in expected.keys() | found.keys():
        if row_id not in found:
            yield Difference(table, row_id, None, "a row", "no row")
        elif row_id not in expected:
            yield Difference(table, row_id, None, "no row", "a row")
        else:
            for column, value in expected[row_id].items():
                if found[row_id][column] != value:
                    yield Difference(table, row_id, column, value, found[row_id][column])
