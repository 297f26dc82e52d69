"""Reading deals: pages of them, the counts of the board. Nothing here writes."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Select, Tuple, and_, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from ledger.access import get_deal
from ledger.actors import Actor
from ledger.checks import CENT, check_text
from ledger.columns import UtcDateTime, format_time, parse_time
from ledger.errors import CursorInvalid, Invalid
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
