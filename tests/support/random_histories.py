"""Random histories of a small agency in raw tables: whatever may happen to deals and commissions, in any order.

A history is a list of `Event`s of small numbers, so that Hypothesis can make, shrink and print them.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
from hypothesis import strategies as st

from ledger.vocabulary import PipelineStage
from tests.support.raw_tables import ZONE, History, create_raw_tables

FIRST_DAY = date(2024, 1, 1)
DAYS = 40
AGENTS = 4
OPEN_STAGES = [stage.value for stage in PipelineStage if stage.is_open]
KINDS = (
    "move", "undo", "close", "reopen", "assign", "cancel", "value", "currency", "confidence", "expect", "commission",
    "confirm", "adjust", "dispute", "resolve", "rename",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """Something that happens to a deal, on a day and minute; `choice` says which agent, stage, amount, …"""

    kind: str
    deal: int
    day: int
    minute: int
    choice: int


EVENTS = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    deal=st.integers(0, 19),
    day=st.integers(0, DAYS - 1),
    minute=st.integers(0, 1439),
    choice=st.integers(0, 11),
)


def write_history(connection: duckdb.DuckDBPyConnection, events: list[Event]) -> int:
    """Write raw tables of the history and return its log size; the order of `events` is that of writing."""
    create_raw_tables(connection)
    writer = _Writer(History(connection))
    writer.history.fx_rate("USD", "1.30000000", "2024-01-05")
    writer.history.fx_rate("USD", "1.50000000", "2024-01-20")
    writer.history.person("agent-0", "Ann")
    for event in events:
        writer.write(event)
    return next(writer.history.numbers)


class _Writer:
    """Turns events into entries that the ledger could have written."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._opened: dict[int, datetime] = {}
        self._stages: dict[int, list[str]] = {}
        self._recorded: dict[int, datetime] = {}
        self._statuses: dict[int, str] = {}
        self._disputes: dict[int, tuple[int, str]] = {}

    def write(self, event: Event) -> None:
        """Write the entry of an event; where it is not possible yet, the one that makes it possible."""
        when = datetime.combine(FIRST_DAY, datetime.min.time(), ZONE) + timedelta(days=event.day, minutes=event.minute)
        if event.kind == "rename":
            self.history.person(f"agent-{event.choice % AGENTS}", f"Name {event.day}", when=_text(when))
        elif event.deal not in self._opened:
            self._open(event, when)
        else:
            when = max(when, self._opened[event.deal] + timedelta(minutes=event.choice))
            if event.kind in ("confirm", "adjust", "dispute", "resolve") and event.deal in self._recorded:
                when = max(when, self._recorded[event.deal])
            getattr(self, f"_{event.kind}")(event, f"deal-{event.deal}", _text(when), when)

    def _open(self, event: Event, when: datetime) -> None:
        self._opened[event.deal] = when
        stage = OPEN_STAGES[event.choice % len(OPEN_STAGES)]
        self._stages[event.deal] = [stage]
        columns: dict[str, Any] = {"estimated_value_currency": ("SGD", "USD", "EUR")[event.minute % 3]}
        if event.choice % 4:
            columns |= {"estimated_value_amount": 100 + event.choice, "confidence": f"0.{10 + event.choice}"}
        columns["lead_source"] = ("portal", None)[event.choice % 2]
        self.history.opened(f"deal-{event.deal}", f"agent-{event.choice % AGENTS}", _text(when), stage, **columns)

    def _move(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        stage = OPEN_STAGES[event.choice % len(OPEN_STAGES)]
        self._stages[event.deal].append(stage)
        self.history.moved(deal, stage, when, late=bool(event.minute % 2))

    def _undo(self, event: Event, deal: str, when: str, moment: datetime) -> None:
        before = self._stages[event.deal][-1]
        self._move(event, deal, when, moment)
        self.history.moved(deal, before, _text(moment + timedelta(minutes=event.choice)))

    def _close(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.moved(deal, ("closed_won", "closed_won", "closed_lost")[event.choice % 3], when)

    def _reopen(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.reopened(deal, OPEN_STAGES[event.choice % len(OPEN_STAGES)], when)

    def _assign(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.assigned(deal, f"agent-{event.choice % AGENTS}", when)

    def _cancel(self, _event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.cancelled(deal, when)

    def _value(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.changed(deal, when, estimated_value_amount=event.choice * 17 or None)

    def _currency(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.changed(deal, when, estimated_value_currency=("SGD", "USD", "EUR")[event.choice % 3])

    def _confidence(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        self.history.changed(deal, when, confidence=f"0.{event.choice + 10}" if event.choice else None)

    def _expect(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        day = FIRST_DAY + timedelta(days=event.day + event.choice)
        self.history.changed(deal, when, expected_close_date=day if event.choice else None)

    def _commission(self, event: Event, deal: str, when: str, moment: datetime) -> None:
        if event.deal in self._statuses:
            return
        self._recorded[event.deal] = moment
        self._statuses[event.deal] = "pending"
        currency = ("SGD", "USD", "EUR")[event.choice % 3]
        agent = f"agent-{event.choice % AGENTS}"
        self.history.commission(f"line-{event.deal}", deal, agent, when, event.choice or None, basis_currency=currency)

    def _confirm(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        following = {"pending": "confirmed", "confirmed": "invoiced", "invoiced": "paid"}
        before = self._statuses.get(event.deal, "")
        if after := following.get(before):
            self._statuses[event.deal] = after
            self.history.commission_moved(f"line-{event.deal}", deal, before, after, when)

    def _adjust(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        if event.deal in self._statuses:
            kind = ("clawback", "bonus", "correction")[event.choice % 3]
            self.history.adjusted(f"line-{event.deal}", deal, kind, event.choice, when)

    def _dispute(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        before = self._statuses.get(event.deal)
        if before and event.deal not in self._disputes:
            self._disputes[event.deal] = (event.minute, before)
            name = f"dispute-{event.deal}-{event.minute}"
            self.history.disputed(name, f"line-{event.deal}", deal, before, event.choice, when)

    def _resolve(self, event: Event, deal: str, when: str, _moment: datetime) -> None:
        if event.deal in self._disputes:
            number, before = self._disputes.pop(event.deal)
            self.history.resolved(f"dispute-{event.deal}-{number}", f"line-{event.deal}", deal, before, when)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
