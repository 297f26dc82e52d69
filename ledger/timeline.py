"""Everything that happened to a deal, as its chain of the log tells it. Nothing here writes.

Each answer to a move brings the whole of it, so it is made in few steps: bodies are decoded by type, times stay the
text that they are in the log (all of one length, hence in order), and an item is encoded as it stands.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from msgspec import Struct, field, json
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from ledger.access import get_deal
from ledger.actors import Actor
from ledger.columns import parse_time
from ledger.fold import COMMITTED
from ledger.log.chain import now_utc
from ledger.log.sequencing import every_entry
from ledger.log.texts import read_texts
from ledger.statements import RowByKey, Statement
from ledger.tables import AgentDeal
from ledger.vocabulary import DealStatus, PipelineStage


class TimelineItem(Struct, gc=False):
    """One entry of a deal's chain, for people; encoded as JSON it is what the API answers with.

    `kind` is the entry's type; `data` its data with commitments replaced by the texts behind them (None where erased).
    `n` is None in the transaction that writes the entry where the leaf index is given after the commit.
    For stage events `duration_seconds` is the time until the next one, or for the last until now, the cancelling or
    (closed deals) None.
    """

    kind: str
    at_text: str = field(name="at")
    effective_text: str = field(name="effective_at")
    n: int | None
    seq: int
    hash: str
    actor_id: str
    subject_kind: str
    subject_id: str
    from_stage: PipelineStage | None
    to_stage: PipelineStage | None
    duration_seconds: float | None
    is_current: bool
    data: dict[str, Any]

    @property
    def at(self) -> datetime:
        """When it was recorded."""
        return parse_time(self.at_text)

    @property
    def effective_at(self) -> datetime:
        """When it happened."""
        return parse_time(self.effective_text)

    @property
    def stage_event_id(self) -> str | None:
        """The stage event that it is, None for anything else."""
        event = self.data.get("stage_event")
        return event["id"] if event else None


class _Named(Struct, gc=False):
    """Who or what an entry names."""

    id: str
    kind: str


class _Told(Struct, gc=False):
    """What a timeline needs of an entry's body."""

    type: str
    at: str
    effective_at: str
    actor: _Named
    subject: _Named
    data: dict[str, Any]


_decode = json.Decoder(_Told).decode
_STAGES = {stage.value: stage for stage in PipelineStage}
_DEALS = RowByKey(AgentDeal)
_entries = every_entry().c
_CHAIN_OF_DEAL = Statement(
    select(_entries.n, _entries.seq, _entries.hash, _entries.body).where(_entries.chain == bindparam("chain"))
)


def list_timeline(session: Session, deal_id: str, actor: Actor | None = None) -> list[TimelineItem]:
    """Return everything that happened to a deal, by effective time and order of arrival; checks `actor` if given."""
    return tell_timeline(session, get_deal(session, actor, deal_id) if actor else _DEALS.get_one(session, deal_id))


def tell_timeline(session: Session, deal: AgentDeal) -> list[TimelineItem]:
    """Return everything that happened to a deal that the caller has read, and may."""
    items = [_tell(*row) for row in _CHAIN_OF_DEAL.all(session, chain=f"deal:{deal.id}")]
    items.sort(key=attrgetter("effective_text", "seq"))
    places = [place for item in items for place in _committed_places(item.subject_kind, item.data)]
    texts = read_texts(session, {owner[key] for owner, key in places})
    for owner, key in places:
        owner[key] = texts.get(owner[key])
    _measure_stages([item for item in items if item.to_stage is not None], deal)
    return items


def _tell(n: int | None, seq: int, digest: bytes, body: bytes) -> TimelineItem:
    told = _decode(body)
    event = told.data.get("stage_event")
    return TimelineItem(
        told.type, told.at, told.effective_at, n, seq, digest.hex(), told.actor.id, told.subject.kind, told.subject.id,
        _STAGES[event["from"]] if event and event["from"] else None, _STAGES[event["to"]] if event else None,
        None, False, told.data,
    )  # fmt: skip


def _committed_places(kind: str, data: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return where in an entry's `data` a commitment stands for a text: the dictionary and its key."""
    places = []
    if values := data.get("set"):
        places = [(values, column) for column in COMMITTED.get(kind, frozenset()) & values.keys() if values[column]]
    places += [(data, key) for key in ("note", "reason") if data.get(key)]
    if (event := data.get("stage_event")) and event.get("note"):
        places.append((event, "note"))
    return places


def _measure_stages(events: Sequence[TimelineItem], deal: AgentDeal) -> None:
    """Say of stage events in their order how long each stage lasted, and which is the current one."""
    if not events:
        return
    begun = [event.effective_at for event in events]
    ends: list[datetime | None] = [*begun[1:]]
    ends.append({DealStatus.OPEN: now_utc(), DealStatus.CANCELLED: deal.cancelled_at}.get(deal.status))
    for event, since, until in zip(events, begun, ends, strict=True):
        event.duration_seconds = None if until is None else max(0.0, (until - since).total_seconds())
    events[-1].is_current = True
