"""From the log to the tables: what each entry changes, and the only writer of the protected tables.

`fold_entry` is a pure function from one entry to changes of rows. The one-by-one path, the import path and
`rebuild.py` all go through it, so the tables are the fold of the log by construction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table, bindparam, update
from sqlalchemy.orm import Session

from ledger.actors import Actor
from ledger.columns import encode_json
from ledger.log.chain import append_entries
from ledger.log.entry import Draft, Entry
from ledger.statements import Statement, change_row, insert_rows
from ledger.tables import Base

Row = dict[str, Any]
Texts = Mapping[str, str | None]

TABLE_OF = {
    "user": "users",
    "deal": "agent_deals",
    "stage_event": "agent_deal_stage_events",
    "contact": "agent_deal_contacts",
    "document": "agent_deal_documents",
    "commission": "agent_commission_records",
    "adjustment": "agent_commission_adjustments",
    "dispute": "commission_disputes",
}
"""Subject kind -> table, in the order in which rows may be inserted."""

MONEY = frozenset({"estimated_value_amount", "basis_amount", "commission_amount", "amount"})
RATES = frozenset({"commission_rate", "confidence"})
DATES = frozenset({"expected_close_date", "actual_close_date"})
COMMITTED = {
    "deal": frozenset({"title", "description", "metadata"}),
    "contact": frozenset({"name", "email", "phone", "company", "notes"}),
    "document": frozenset({"title", "uri", "metadata"}),
    "adjustment": frozenset({"note"}),
    "dispute": frozenset({"reason", "note"}),
}
"""Columns whose text an entry holds only as a commitment, by subject kind."""


class Change(NamedTuple):
    """Values that one row takes; `is_new` rows are inserted."""

    kind: str
    id: str
    is_new: bool
    values: Row


def encode_value(column: str, value: Any) -> Any:
    """Return how an entry writes a column's value: decimals at the column's scale, ISO dates, words as text."""
    if value is None or type(value) is str or type(value) is bool:
        return value
    if isinstance(value, Decimal):
        return f"{value:.4f}" if column == "commission_rate" else f"{value:.2f}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value.value) if hasattr(value, "value") else value


def decode_value(column: str, value: Any) -> Any:
    """Undo `encode_value`; words stay text, which equals the vocabulary's members."""
    if value is None:
        return None
    if column in MONEY or column in RATES:
        return Decimal(value)
    if column in DATES:
        return date.fromisoformat(value)
    return value


def decode_set(kind: str, values: Mapping[str, Any], texts: Texts) -> Row:
    """Return an entry's `set` as column values, with the texts behind its commitments (None where erased)."""
    committed = COMMITTED.get(kind, frozenset())
    row: Row = {}
    for column, value in values.items():
        if column in committed and value is not None:
            text = texts.get(value)
            row[column] = msgspec.json.decode(text) if column == "metadata" and text is not None else text
        else:
            row[column] = decode_value(column, value)
    return row


_EMPTY: dict[str, Row] = {}


def _new_row(kind: str, entry: Entry, row_id: str, values: Row) -> Change:
    if kind not in _EMPTY:
        _EMPTY[kind] = dict.fromkeys(column.name for column in table_of(kind).columns)
    row = {**_EMPTY[kind], **values, "id": row_id, "created_at": entry.at, "updated_at": entry.at}
    return Change(kind, row_id, True, row)


def table_of(kind: str) -> Table:
    """Return the table that holds subjects of `kind`."""
    return Base.metadata.tables[TABLE_OF[kind]]


def _fold_user(entry: Entry, texts: Texts) -> list[Change]:
    values = decode_set("user", entry.data["set"], texts) | {"revision": entry.revision}
    if entry.type == "user.recorded":
        return [_new_row("user", entry, entry.subject_id, values)]
    return [Change("user", entry.subject_id, False, values | {"updated_at": entry.at})]


def _stage_event(entry: Entry, texts: Texts) -> Change:
    event = entry.data["stage_event"]
    values = {
        "deal_id": entry.subject_id,
        "from_stage": event["from"],
        "to_stage": event["to"],
        "changed_by": entry.actor_id,
        "note": texts.get(event.get("note", "")),
        "recorded_at": entry.at,
        "effective_at": entry.effective_at,
        "audit_log_seq": entry.seq,
    }
    return _new_row("stage_event", entry, event["id"], values)


def _fold_deal(entry: Entry, texts: Texts) -> list[Change]:
    values = decode_set("deal", entry.data["set"], texts) | {"revision": entry.seq}
    if entry.type == "deal.opened":
        return [_new_row("deal", entry, entry.subject_id, values), _stage_event(entry, texts)]
    if "status" in values:
        values["cancelled_at"] = entry.effective_at if entry.type == "deal.cancelled" else None
    changes = [Change("deal", entry.subject_id, False, values | {"updated_at": entry.at})]
    if "stage_event" in entry.data:
        changes.append(_stage_event(entry, texts))
    return changes


def _touch_deal(entry: Entry) -> Change:
    deal_id = entry.chain.removeprefix("deal:")
    return Change("deal", deal_id, False, {"revision": entry.seq, "updated_at": entry.at})


def _fold_attachment(entry: Entry, texts: Texts) -> list[Change]:
    kind = entry.subject_kind
    values = decode_set(kind, entry.data["set"], texts)
    if entry.type.endswith(".erased"):
        return [
            Change(kind, entry.subject_id, False, values | {"erased_at": entry.at, "updated_at": entry.at}),
            _touch_deal(entry),
        ]
    values["deal_id"] = entry.chain.removeprefix("deal:")
    if kind == "document":
        values |= {"uploaded_by": entry.actor_id, "uploaded_at": entry.at}
    return [_new_row(kind, entry, entry.subject_id, values), _touch_deal(entry)]


def _fold_commission(entry: Entry, texts: Texts) -> list[Change]:
    values = decode_set("commission", entry.data.get("set", {}), texts)
    values |= {"revision": entry.revision, "audit_log_seq": entry.seq}
    if entry.type == "commission.recorded":
        values["introduced_at"] = entry.effective_at
        return [_new_row("commission", entry, entry.subject_id, values), _touch_deal(entry)]
    if entry.type == "commission.status_changed":
        values |= {"status": entry.data["to"], f"{entry.data['to']}_at": entry.effective_at}
    return [Change("commission", entry.subject_id, False, values | {"updated_at": entry.at}), _touch_deal(entry)]


def _fold_adjustment(entry: Entry, texts: Texts) -> list[Change]:
    values = decode_set("adjustment", entry.data["set"], texts) | {
        "commission_id": entry.data["commission_id"],
        "recorded_by": entry.actor_id,
        "recorded_at": entry.at,
        "effective_at": entry.effective_at,
        "audit_log_seq": entry.seq,
    }
    return [_new_row("adjustment", entry, entry.subject_id, values), _touch_deal(entry)]


def _fold_dispute(entry: Entry, texts: Texts) -> list[Change]:
    data = entry.data
    commission: Row = {"updated_at": entry.at, "audit_log_seq": entry.seq}
    if entry.type == "dispute.opened":
        values = decode_set("dispute", data["set"], texts) | {
            "commission_id": data["commission_id"],
            "status_before": data["from"],
            "opened_by": entry.actor_id,
            "opened_at": entry.effective_at,
            "audit_log_seq": entry.seq,
        }
        change = _new_row("dispute", entry, entry.subject_id, values)
        commission |= {"status": "disputed", "disputed_at": entry.effective_at}
    else:
        values = {
            "outcome": data["outcome"],
            "note": texts.get(data.get("note", "")),
            "resolved_by": entry.actor_id,
            "resolved_at": entry.effective_at,
            "audit_log_seq": entry.seq,
            "updated_at": entry.at,
        }
        change = Change("dispute", entry.subject_id, False, values)
        commission |= {"status": data["to"], "resolved_at": entry.effective_at}
        if data["to"] == "written_off":
            commission["written_off_at"] = entry.effective_at
    return [change, Change("commission", data["commission_id"], False, commission), _touch_deal(entry)]


def _fold_nothing(_entry: Entry, _texts: Texts) -> list[Change]:
    return []


FOLDS: dict[str, Callable[[Entry, Texts], list[Change]]] = {
    "log.opened": _fold_nothing,
    "log.recovered": _fold_nothing,
    "key.introduced": _fold_nothing,
    "key.rotated": _fold_nothing,
    "key.revoked": _fold_nothing,
    "heads.recorded": _fold_nothing,
    "user.recorded": _fold_user,
    "user.changed": _fold_user,
    "token.created": _fold_nothing,
    "token.revoked": _fold_nothing,
    "deal.opened": _fold_deal,
    "deal.changed": _fold_deal,
    "deal.stage_changed": _fold_deal,
    "deal.reopened": _fold_deal,
    "deal.cancelled": _fold_deal,
    "deal.assigned": _fold_deal,
    "contact.recorded": _fold_attachment,
    "contact.erased": _fold_attachment,
    "document.recorded": _fold_attachment,
    "document.erased": _fold_attachment,
    "commission.recorded": _fold_commission,
    "commission.changed": _fold_commission,
    "commission.status_changed": _fold_commission,
    "commission.adjusted": _fold_adjustment,
    "dispute.opened": _fold_dispute,
    "dispute.resolved": _fold_dispute,
    "import.started": _fold_nothing,
    "import.finished": _fold_nothing,
    "auth.logged_in": _fold_nothing,
    "auth.denied": _fold_nothing,
}
"""Every type of entry there is, and what it does to the tables. docs/log-entries.md describes each."""


def fold_entry(entry: Entry, texts: Texts) -> list[Change]:
    """Return the changes that `entry` makes to the tables, given the texts behind its commitments."""
    return FOLDS[entry.type](entry, texts)


def merge_changes(changes: Iterable[Change]) -> dict[tuple[str, str], Change]:
    """Join all changes of a row into one, later values winning."""
    merged: dict[tuple[str, str], Change] = {}
    for change in changes:
        key = (change.kind, change.id)
        earlier = merged.get(key)
        if earlier is None:
            merged[key] = change
        else:
            earlier.values.update(change.values)
    return merged


def record_entries(session: Session, actor: Actor, drafts: Sequence[Draft]) -> list[Entry]:
    """Append `drafts` and move the tables accordingly: the one way in which a protected table changes."""
    entries = append_entries(session, actor, drafts)
    texts = {commitment: text for draft in drafts for commitment, _, text in draft.texts}
    merged = merge_changes(change for entry in entries for change in fold_entry(entry, texts))
    _write_changes(session, merged)
    if "user" in {kind for kind, _ in merged} or any(draft.chain == "sys" for draft in drafts):
        forget_callers(session)  # a right may just have been withdrawn
    for change in merged.values():
        change_row(session, table_of(change.kind), change.id, change.values)
    known = list(session.identity_map.values())
    touched = {(TABLE_OF[kind], row_id) for kind, row_id in merged} if known else ()
    for row in known:
        if (getattr(row, "__tablename__", ""), getattr(row, "id", "")) in touched:
            session.refresh(row)
    return entries


def forget_callers(session: Session) -> None:
    """Have everybody who was found to be a good caller in this transaction looked up again."""
    for known in ("callers", "holders", "unconfirmed", "confirmed"):
        session.info.pop(known, None)


def _write_changes(session: Session, merged: Mapping[tuple[str, str], Change]) -> None:
    inserts: dict[str, list[Row]] = {}
    updates: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for change in merged.values():
        if change.is_new:
            inserts.setdefault(change.kind, []).append(change.values)
        else:
            values = {f"new_{column}": value for column, value in change.values.items()}
            values["row_id"] = change.id
            updates.setdefault((change.kind, tuple(sorted(change.values))), []).append(values)
    for kind in TABLE_OF:
        if kind in inserts:
            insert_rows(session, table_of(kind), inserts[kind])
    for (kind, columns), rows in updates.items():
        _update_of(kind, columns).run(session, rows)


@lru_cache(maxsize=256)
def _update_of(kind: str, columns: tuple[str, ...]) -> Statement:
    table = table_of(kind)
    return Statement(
        update(table)
        .where(table.c.id == bindparam("row_id"))
        .values({column: bindparam(f"new_{column}", type_=table.c[column].type) for column in columns})
    )


def encode_metadata(value: Mapping[str, Any] | None) -> str | None:
    """Return the text to which an entry commits for a JSON column."""
    return None if value is None else encode_json(value)
