"""What is landed of an entry: the parts that are read of each type, and the columns they fill in each raw table.

Entries of one type are taken together, column by column: that is several times faster than entry by entry, because
most types set few columns. Columns not named by a type are null for it. Times, dates and decimals stay text here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

# Structs outside the garbage collector: they hold no cycles, and scanning a batch of them takes as long as reading it.

CHAIN_PREFIX = "deal:"

# --- the parts of an entry --------------------------------------------------------------------------------------------

Text = str | None | UnsetType
Flag = bool | None | UnsetType


class _Named(Struct, gc=False):
    id: str


class DealColumns(Struct, gc=False):
    """What is landed of the columns that an entry about a deal sets."""

    agent_id: Text = UNSET
    asset_type: Text = UNSET
    deal_type: Text = UNSET
    status: Text = UNSET
    lead_source: Text = UNSET
    estimated_value_amount: Text = UNSET
    estimated_value_currency: Text = UNSET
    expected_close_date: Text = UNSET
    actual_close_date: Text = UNSET
    confidence: Text = UNSET
    external_ref: Text = UNSET
    project_id: Text = UNSET
    property_id: Text = UNSET


class CommissionColumns(Struct, gc=False):
    """What is landed of the columns that an entry about a commission sets."""

    agent_id: Text = UNSET
    commission_type: Text = UNSET
    basis_amount: Text = UNSET
    basis_currency: Text = UNSET
    commission_rate: Text = UNSET
    commission_amount: Text = UNSET


class NewCommissionColumns(CommissionColumns, gc=False):
    """The same of the entry that records it: the status there is a change of status."""

    to_status: Text = msgspec.field(name="status", default=UNSET)


class _AdjustmentColumns(Struct, gc=False):
    adjustment_type: str
    amount: str
    currency: str


class _DisputeColumns(Struct, gc=False):
    amount: str
    currency: str
    hold: bool


class _PersonColumns(Struct, gc=False):
    name: Text = UNSET
    email: Text = UNSET
    role: Text = UNSET
    active: Flag = UNSET


class _StageEvent(Struct, gc=False):
    id: str
    to: str
    source: str | None = msgspec.field(name="from", default=None)


class _Deal(Struct, gc=False):
    set: DealColumns = msgspec.field(default_factory=DealColumns)


class _StagedDeal(Struct, gc=False):
    stage_event: _StageEvent
    set: DealColumns = msgspec.field(default_factory=DealColumns)


class _NewCommission(Struct, gc=False):
    set: NewCommissionColumns


class _Commission(Struct, gc=False):
    set: CommissionColumns = msgspec.field(default_factory=CommissionColumns)
    source: str | None = msgspec.field(name="from", default=None)
    to: str | None = None


class _Adjustment(Struct, gc=False):
    commission_id: str
    set: _AdjustmentColumns


class _OpenedDispute(Struct, gc=False):
    commission_id: str
    set: _DisputeColumns
    source: str = msgspec.field(name="from")


class _ResolvedDispute(Struct, gc=False):
    commission_id: str
    outcome: str
    to: str


class _Person(Struct, gc=False):
    set: _PersonColumns


Data = TypeVar("Data")


class Entry(Struct, Generic[Data], gc=False):
    """An entry's body, as far as it is landed."""

    type: str
    chain: str
    at: str
    effective_at: str
    actor: _Named
    subject: _Named
    data: Data


class Header(Struct, gc=False):
    """Of an entry that no raw table holds, only its type is read."""

    type: str


# --- entries of one type -> columns -----------------------------------------------------------------------------------

Columns = dict[str, Sequence[Any]]
Fill = Callable[[Sequence[Any]], Columns]


def _sparse(structs: Sequence[Struct]) -> Columns:
    """Return the columns that any of them sets, null where one does not, and `cleared`: names of those set to null."""
    columns: Columns = {}
    cleared: list[list[str]] = []
    for name, values in zip(structs[0].__struct_fields__, zip(*map(astuple, structs), strict=True), strict=True):
        kinds = set(map(type, values))
        if kinds == {UnsetType}:
            continue
        if type(None) in kinds:
            cleared = cleared or [[] for _ in structs]
            for names, value in zip(cleared, values, strict=True):
                if value is None:
                    names.append(name)
        columns[name] = [None if value is UNSET else value for value in values] if UnsetType in kinds else values
    if cleared:
        columns["cleared"] = [",".join(names) or None for names in cleared]
    return columns


def _subjects(entries: Sequence[Entry[Any]]) -> list[str]:
    return [entry.subject.id for entry in entries]


def _fill_deals(entries: Sequence[Entry[_Deal | _StagedDeal]]) -> Columns:
    return _sparse([entry.data.set for entry in entries])


def _fill_stages(entries: Sequence[Entry[_StagedDeal]]) -> Columns:
    events = [entry.data.stage_event for entry in entries]
    return {
        "stage_event_id": [event.id for event in events],
        "from_stage": [event.source for event in events],
        "to_stage": [event.to for event in events],
    }


def _fill_new_commissions(entries: Sequence[Entry[_NewCommission]]) -> Columns:
    return {"commission_id": _subjects(entries), **_sparse([entry.data.set for entry in entries])}


def _fill_commissions(entries: Sequence[Entry[_Commission]]) -> Columns:
    return {
        "commission_id": _subjects(entries),
        "from_status": [entry.data.source for entry in entries],
        "to_status": [entry.data.to for entry in entries],
        **_sparse([entry.data.set for entry in entries]),
    }


def _fill_adjustments(entries: Sequence[Entry[_Adjustment]]) -> Columns:
    return {
        "adjustment_id": _subjects(entries),
        "commission_id": [entry.data.commission_id for entry in entries],
        **_sparse([entry.data.set for entry in entries]),
    }


def _fill_opened_disputes(entries: Sequence[Entry[_OpenedDispute]]) -> Columns:
    return {
        "dispute_id": _subjects(entries),
        "commission_id": [entry.data.commission_id for entry in entries],
        "to_status": ["disputed"] * len(entries),
        **_sparse([entry.data.set for entry in entries]),
    }


def _fill_resolved_disputes(entries: Sequence[Entry[_ResolvedDispute]]) -> Columns:
    return {
        "dispute_id": _subjects(entries),
        "commission_id": [entry.data.commission_id for entry in entries],
        "outcome": [entry.data.outcome for entry in entries],
        "to_status": [entry.data.to for entry in entries],
    }


# A dispute moves its commission too, so that all of a commission's statuses are found in one table.
def _fill_disputed(entries: Sequence[Entry[_OpenedDispute]]) -> Columns:
    return {
        "commission_id": [entry.data.commission_id for entry in entries],
        "from_status": [entry.data.source for entry in entries],
        "to_status": ["disputed"] * len(entries),
    }


def _fill_restored(entries: Sequence[Entry[_ResolvedDispute]]) -> Columns:
    return {
        "commission_id": [entry.data.commission_id for entry in entries],
        "from_status": ["disputed"] * len(entries),
        "to_status": [entry.data.to for entry in entries],
    }


def _fill_people(entries: Sequence[Entry[_Person]]) -> Columns:
    return {"user_id": _subjects(entries), **_sparse([entry.data.set for entry in entries])}


@dataclass(frozen=True)
class Landing:
    """How entries of a type are landed: what is read of them, and what fills the columns of each of their tables."""

    entry: Any
    fills: dict[str, Fill]

    @property
    def tables(self) -> tuple[str, ...]:
        """The raw tables that get a row for each entry."""
        return tuple(self.fills)


_DEAL = Landing(Entry[_Deal], {"deal_events": _fill_deals})
_STAGED_DEAL = Landing(Entry[_StagedDeal], {"deal_events": _fill_deals, "stage_events": _fill_stages})
_COMMISSION = Landing(Entry[_Commission], {"commission_events": _fill_commissions})
_PERSON = Landing(Entry[_Person], {"people": _fill_people})

WAREHOUSED: dict[str, Landing] = {
    "deal.opened": _STAGED_DEAL,
    "deal.changed": _DEAL,
    "deal.stage_changed": _STAGED_DEAL,
    "deal.reopened": _STAGED_DEAL,
    "deal.cancelled": _DEAL,
    "deal.assigned": _DEAL,
    "commission.recorded": Landing(Entry[_NewCommission], {"commission_events": _fill_new_commissions}),
    "commission.changed": _COMMISSION,
    "commission.status_changed": _COMMISSION,
    "commission.adjusted": Landing(Entry[_Adjustment], {"adjustments": _fill_adjustments}),
    "dispute.opened": Landing(
        Entry[_OpenedDispute], {"disputes": _fill_opened_disputes, "commission_events": _fill_disputed}
    ),
    "dispute.resolved": Landing(
        Entry[_ResolvedDispute], {"disputes": _fill_resolved_disputes, "commission_events": _fill_restored}
    ),
    "user.recorded": _PERSON,
    "user.changed": _PERSON,
}
# In these families every type is a fact that numbers rest on: one that is not known here must not pass unseen.
FACT_FAMILIES = {name.partition(".")[0] for name in WAREHOUSED}
