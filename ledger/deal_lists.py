"""Reading deals: pages of them, one deal's timeline, the counts of the board. Nothing here writes."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, Tuple, and_, bindparam, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from ledger.access import get_deal
from ledger.actors import Actor
from ledger.checks import CENT, check_text
from ledger.columns import UtcDateTime, format_time, parse_time
from ledger.errors import CursorInvalid, Invalid
from ledger.fold import COMMITTED
from ledger.log.chain import now_utc
from ledger.log.entry import decode_body
from ledger.log.sequencing import every_entry
from ledger.log.texts import read_texts
from ledger.statements import RowByKey, Statement
from ledger.tables import AgentDeal, DealContact, DealDocument
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage, Role

MAX_PAGE = 200
AnySelect = TypeVar("AnySelect", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class DealFilter:
    """Which deals, in which order. `q` looks in title, description and contacts' companies; `sort` names a column
    (`updated_at`, `created_at`), with `-` before it for newest first."""

    agent_id: str | None = None
    stage: PipelineStage | None = None
    status: DealStatus | None = None
    asset_type: AssetType | None = None
    deal_type: DealType | None = None
    property_id: str | None = None
    project_id: str | None = None
    q: str | None = None
    updated_since: datetime | None = None
    sort: str = "-updated_at"


_SORTS: dict[str, InstrumentedAttribute[datetime]] = {
    "updated_at": AgentDeal.updated_at,
    "created_at": AgentDeal.created_at,
}


def encode_cursor(moment: datetime, row_id: str) -> str:
    """Return an opaque cursor that stands after this row."""
    return base64.urlsafe_b64encode(f"{format_time(moment)}|{row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Undo `encode_cursor`; raise `CursorInvalid` for anything else."""
    try:
        moment, row_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        return parse_time(moment), row_id
    except ValueError:
        raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor") from None


def place_after(cursor: str) -> Tuple:
    """Return the place of a cursor, to compare (time, id) with; an untyped time would be written as other text."""
    moment, row_id = decode_cursor(cursor)
    return tuple_(literal(moment, UtcDateTime()), literal(row_id))


def scope_to_actor(query: AnySelect, actor: Actor) -> AnySelect:
    """Narrow a query of deals to what `actor` may see: agents see their own."""
    if actor.kind == "user" and actor.role is Role.AGENT:
        return query.where(AgentDeal.agent_id == actor.id)
    return query


def list_deals(
    session: Session, actor: Actor, wanted: DealFilter | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[AgentDeal], str | None]:
    """Return a page of deals that `actor` may see, and the cursor of the next page (None on the last)."""
    wanted = wanted or DealFilter()
    limit = max(1, min(limit, MAX_PAGE))
    is_descending = wanted.sort.startswith("-")
    column = _SORTS.get(wanted.sort.removeprefix("-"))
    if column is None:
        raise Invalid(f"sort must be one of {', '.join(_SORTS)}, with or without - before it.", "sort")
    query = apply_filter(scope_to_actor(select(AgentDeal), actor), wanted)
    if cursor:
        place = tuple_(column, AgentDeal.id)
        after = place_after(cursor)
        query = query.where(place < after if is_descending else place > after)
    order = (column.desc(), AgentDeal.id.desc()) if is_descending else (column, AgentDeal.id)
    rows = session.scalars(query.order_by(*order).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(getattr(page[-1], column.key), page[-1].id)


def apply_filter(query: AnySelect, wanted: DealFilter) -> AnySelect:
    """Narrow a query of deals to those that `wanted` asks for; its order is the caller's."""
    exact = {
        AgentDeal.agent_id: wanted.agent_id,
        AgentDeal.pipeline_stage: wanted.stage,
        AgentDeal.status: wanted.status,
        AgentDeal.asset_type: wanted.asset_type,
        AgentDeal.deal_type: wanted.deal_type,
        AgentDeal.property_id: wanted.property_id,
        AgentDeal.project_id: wanted.project_id,
    }
    for column, value in exact.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.updated_since is not None:
        query = query.where(AgentDeal.updated_at >= wanted.updated_since)
    if wanted.q and wanted.q.strip():
        text = check_text(wanted.q, "q")
        company = exists().where(
            and_(DealContact.deal_id == AgentDeal.id, DealContact.company.icontains(text, autoescape=True))
        )
        query = query.where(
            or_(
                AgentDeal.title.icontains(text, autoescape=True),
                AgentDeal.description.icontains(text, autoescape=True),
                company,
            )
        )
    return query


def list_contacts(session: Session, actor: Actor, deal_id: str) -> Sequence[DealContact]:
    """Return a deal's contacts, oldest first; erased ones have no personal data."""
    get_deal(session, actor, deal_id)
    return session.scalars(select(DealContact).where(DealContact.deal_id == deal_id).order_by(DealContact.id)).all()


def list_documents(session: Session, actor: Actor, deal_id: str) -> Sequence[DealDocument]:
    """Return a deal's documents, oldest first."""
    get_deal(session, actor, deal_id)
    return session.scalars(select(DealDocument).where(DealDocument.deal_id == deal_id).order_by(DealDocument.id)).all()


@dataclass(slots=True)  # not frozen: making a frozen one takes five times as long, and each move makes many
class TimelineItem:
    """One entry of a deal's chain, for people.

    `kind` is the entry's type; `data` its data with commitments replaced by the texts behind them (None where erased).
    `n` is None in the transaction that writes the entry where the leaf index is given after the commit.
    For stage events `duration_seconds` is the time until the next one, or for the last until now, the cancelling or
    (closed deals) None.
    """

    kind: str
    at: datetime
    effective_at: datetime
    n: int | None
    seq: int
    hash: str
    actor_id: str
    subject_kind: str
    subject_id: str
    data: dict[str, Any]
    stage_event_id: str | None = None
    from_stage: PipelineStage | None = None
    to_stage: PipelineStage | None = None
    duration_seconds: float | None = None
    is_current: bool = False


class _Told(NamedTuple):
    """An entry of a deal's chain, with the `data` of its body."""

    n: int | None
    seq: int
    type: str
    at: datetime
    effective_at: datetime
    hash: bytes
    actor_id: str
    subject_kind: str
    subject_id: str
    data: dict[str, Any]


_DEALS = RowByKey(AgentDeal)
_entries = every_entry().c
_CHAIN_OF_DEAL = Statement(
    select(*(_entries[name] for name in (*_Told._fields[:-1], "body"))).where(_entries.chain == bindparam("chain"))
)


def list_timeline(session: Session, deal_id: str, actor: Actor | None = None) -> list[TimelineItem]:
    """Return everything that happened to a deal, by effective time and order of arrival; checks `actor` if given."""
    return tell_timeline(session, get_deal(session, actor, deal_id) if actor else _DEALS.get_one(session, deal_id))


def tell_timeline(session: Session, deal: AgentDeal) -> list[TimelineItem]:
    """Return everything that happened to a deal that the caller has read, and may."""
    found = _CHAIN_OF_DEAL.all(session, chain=f"deal:{deal.id}")
    rows = [_Told._make((*row[:-1], decode_body(row[-1])["data"])) for row in found]
    rows.sort(key=attrgetter("effective_at", "seq"))
    places = [place for row in rows for place in _committed_places(row.subject_kind, row.data)]
    texts = read_texts(session, {owner[key] for owner, key in places})
    for owner, key in places:
        owner[key] = texts.get(owner[key])
    durations = _measure_stages(rows, deal)
    items = []
    for row in rows:
        event = row.data.get("stage_event")
        seconds, is_current = durations.get(event["id"], (None, False)) if event else (None, False)
        items.append(
            TimelineItem(
                kind=row.type,
                at=row.at,
                effective_at=row.effective_at,
                n=row.n,
                seq=row.seq,
                hash=row.hash.hex(),
                actor_id=row.actor_id,
                subject_kind=row.subject_kind,
                subject_id=row.subject_id,
                data=row.data,
                stage_event_id=event["id"] if event else None,
                from_stage=PipelineStage(event["from"]) if event and event["from"] else None,
                to_stage=PipelineStage(event["to"]) if event else None,
                duration_seconds=seconds,
                is_current=is_current,
            )
        )
    return items


def _committed_places(kind: str, data: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return where in an entry's `data` a commitment stands for a text: the dictionary and its key."""
    places = []
    if values := data.get("set"):
        places = [(values, column) for column in COMMITTED.get(kind, ()) if values.get(column)]
    places += [(data, key) for key in ("note", "reason") if data.get(key)]
    if (event := data.get("stage_event")) and event.get("note"):
        places.append((event, "note"))
    return places


def _measure_stages(rows: Sequence[_Told], deal: AgentDeal) -> dict[str, tuple[float | None, bool]]:
    """Stage event id -> (seconds until the next event, whether it is the current one), of rows in their order."""
    events = [(row.data["stage_event"]["id"], row.effective_at) for row in rows if "stage_event" in row.data]
    ends: list[datetime | None] = [moment for _, moment in events[1:]]
    ends.append({DealStatus.OPEN: now_utc(), DealStatus.CANCELLED: deal.cancelled_at}.get(deal.status))
    return {
        event_id: (None if end is None else max(0.0, (end - moment).total_seconds()), index == len(events))
        for index, ((event_id, moment), end) in enumerate(zip(events, ends, strict=True), start=1)
    }


@dataclass(slots=True)
class StageCount:
    """Open deals in one stage: how many, their value by currency, and that value weighted by confidence.

    Deals without a confidence are left out of `weighted`; their value stands in `without_confidence`.
    """

    stage: PipelineStage
    deals: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)
    weighted: dict[str, Decimal] = field(default_factory=dict)
    without_confidence: dict[str, Decimal] = field(default_factory=dict)


def pipeline_counts(
    session: Session, actor: Actor, agent_id: str | None = None, *, wanted: DealFilter | None = None
) -> list[StageCount]:
    """Return one `StageCount` per open stage, in pipeline order, over the open deals that `actor` may see.

    `wanted` narrows them further.
    """
    query = select(
        AgentDeal.pipeline_stage,
        AgentDeal.estimated_value_currency,
        AgentDeal.confidence,
        func.count(),
        func.sum(AgentDeal.estimated_value_amount),
    ).where(AgentDeal.status == DealStatus.OPEN)
    if agent_id is not None:
        query = query.where(AgentDeal.agent_id == agent_id)
    if wanted is not None:
        query = apply_filter(query, wanted)
    query = scope_to_actor(query, actor).group_by(
        AgentDeal.pipeline_stage, AgentDeal.estimated_value_currency, AgentDeal.confidence
    )
    counts = {stage: StageCount(stage) for stage in PipelineStage if stage.is_open}
    rows: Sequence[Any] = session.execute(query).all()
    for stage, currency, confidence, deals, total in rows:
        count = counts[stage]
        count.deals += deals
        if total is None:
            continue
        count.totals[currency] = count.totals.get(currency, Decimal(0)) + total
        into = count.without_confidence if confidence is None else count.weighted
        into[currency] = into.get(currency, Decimal(0)) + (total if confidence is None else total * confidence)
    for count in counts.values():
        count.weighted = {currency: value.quantize(CENT) for currency, value in count.weighted.items()}
    return list(counts.values())
