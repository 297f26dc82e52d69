"""Rows of several files become one fact: a deal with its whole path, a commission with its whole history.

Pure functions: what contradicts itself is returned as `Contradiction` (field, value, reason), never guessed at.
A date without a time counts as midnight, and within one day the order of the facts, not the clock, decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.crm_files.fields import CANCELLED, Section
from ingestion.crm_files.mapping import Mapping
from ledger.imported import (
    ImportedAdjustment,
    ImportedCommission,
    ImportedDeal,
    ImportedDispute,
    ImportedStage,
)
from ledger.vocabulary import (
    AdjustmentType,
    AssetType,
    CommissionStatus,
    CommissionType,
    DealType,
    DisputeOutcome,
    PipelineStage,
)

Row = dict[str, Any]
Moment = tuple[PipelineStage, datetime]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why a row cannot be right: the field at fault, its value, and a reason that names what it contradicts."""

    field: str
    value: str | None
    reason: str


@dataclass(slots=True)
class KnownDeal:
    """What the ledger has of a deal: the stages it entered, in order of time."""

    id: str
    moves: list[Moment]


@dataclass(slots=True)
class AssembledDeal:
    """A deal, or why it is none; stage rows that contradict it; whether the mapping gave it its date."""

    deal: ImportedDeal | Contradiction
    bad_moves: list[tuple[Row, Contradiction]] = field(default_factory=list)
    is_dated_by_mapping: bool = False


class Assembler:
    """Puts rows together for one mapping at one moment."""

    def __init__(self, mapping: Mapping, now: datetime, default_currency: str) -> None:
        self.mapping = mapping
        self.zone: ZoneInfo = mapping.zone
        self.today = now.astimezone(self.zone).date()
        self.default_currency = default_currency
        part = mapping.deals
        self._opening = PipelineStage((part and part.opening_stage) or PipelineStage.LEAD_CAPTURED)
        self._columns = {section: dict(each.columns) for section, each in mapping.sections.items()}

    def day(self, moment: datetime) -> date:
        """Return the day of a moment in the files' time zone."""
        return moment.astimezone(self.zone).date()

    def column(self, section: Section, name: str) -> str:
        """Return what the file calls a field."""
        return self._columns[section].get(name, name)

    def deal(self, row: Row, history: Sequence[Row], agent_id: str, known: KnownDeal | None) -> AssembledDeal:
        """Put a deal row and its stage rows (in order of time) together."""
        result = AssembledDeal(Contradiction("id", row["id"], ""))
        opened = _aware(row["opened_on"])
        closed = _aware(row["closed_on"])
        moves = self._sound_moves(row, history, opened, result)
        if opened is None and not moves:
            opened = _aware(row["stage_since"])
            if opened is None and (closed is None or self._is_open(row)) and self.mapping.dates.missing:
                opened = datetime.combine(self.mapping.dates.missing, time(), self.zone).astimezone(UTC)
                result.is_dated_by_mapping = True
            if opened is None:
                result.deal = Contradiction(
                    "opened_on", None, "is empty and no stage row says when the deal was opened; see dates.missing"
                )
                return result
        opened = opened or moves[0].effective_at
        path = self._path(row, moves, opened, closed)
        if isinstance(path, _Path) and known is not None:
            path = self._with_known(row, path, known, has_history=bool(moves))
        if isinstance(path, Contradiction):
            result.deal = path
        else:
            result.deal = self._imported(row, agent_id, closed, path)
        return result

    def _is_open(self, row: Row) -> bool:
        return row["stage"] != CANCELLED and PipelineStage(row["stage"]).is_open

    def _sound_moves(
        self, row: Row, history: Sequence[Row], opened: datetime | None, result: AssembledDeal
    ) -> list["_Move"]:
        moves = []
        for each in history:
            move = _Move(each["stage"], each["moved_on"].replace(tzinfo=UTC), each["note"], each)
            if opened and self.day(move.effective_at) < self.day(opened):
                column = self.column(Section.DEALS, "opened_on")
                reason = f"lies before the deal was opened ('{column}' {self.day(opened)}, line {row['line']})"
                result.bad_moves.append((each, Contradiction("moved_on", self._text(move.effective_at), reason)))
            else:
                moves.append(move)
        return moves

    def _text(self, moment: datetime) -> str:
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")

    def _path(
        self, row: Row, moves: list["_Move"], opened: datetime, closed: datetime | None
    ) -> "_Path | Contradiction":
        """The deal's path in time, as the files alone tell it."""
        stage_name, closed_name = (self.column(Section.DEALS, name) for name in ("stage", "closed_on"))
        wanted, said, closed_text = row["stage"], row["t:stage"], row["t:closed_on"]
        is_open = self._is_open(row)
        if closed and self.day(closed) < self.day(opened):
            opened_name = self.column(Section.DEALS, "opened_on")
            return Contradiction("closed_on", closed_text, f"lies before '{opened_name}' ({self.day(opened)})")
        if closed and not is_open and self.day(closed) > self.today:
            return Contradiction("closed_on", closed_text, f"lies in the future, but '{stage_name}' says '{said}'")
        if closed and is_open and self.day(closed) < self.today:
            return Contradiction(
                "closed_on",
                closed_text,
                f"is past, but '{stage_name}' says '{said}', an open stage: one of the two is wrong",
            )
        given_up = [move for move in moves if move.stage == CANCELLED]
        stages = [ImportedStage(PipelineStage(m.stage), m.effective_at, m.note) for m in moves if m.stage != CANCELLED]
        is_given = bool(stages) and self.day(stages[0].effective_at) == self.day(opened)
        if not is_given:
            first = PipelineStage(wanted) if is_open and not stages and not row["stage_since"] else self._opening
            stages.insert(0, ImportedStage(first, opened))
        last = stages[-1]
        if wanted == CANCELLED:
            at = given_up[-1].effective_at if given_up else closed
            if at is None:
                return Contradiction(
                    "stage", said, f"needs a date, but '{closed_name}' is empty and no stage row gives one"
                )
            if self.day(at) < self.day(last.effective_at):
                return Contradiction(
                    "stage", said, f"contradicts the move to {last.to_stage} on {self.day(last.effective_at)}"
                )
            return _Path(_without_repeats(stages), is_given, cancelled_at=max(at, last.effective_at))
        if given_up:
            line = given_up[-1].row["line"]
            return Contradiction("stage", said, f"contradicts the stage history, where line {line} gives the deal up")
        if last.to_stage != wanted:
            at = (_aware(row["stage_since"]) if is_open else None) or (None if is_open else closed)
            where = f"line {moves[-1].row['line']} of the stage history" if moves else "the opening"
            if at is None and is_open:
                reason = f"contradicts {where}, where the deal's last move is to {last.to_stage}"
                return Contradiction("stage", said, reason)
            if at is None:
                return Contradiction(
                    "stage", said, f"needs a date, but '{closed_name}' is empty and no stage row gives one"
                )
            if self.day(at) < self.day(last.effective_at):
                name, text = ("stage_since", self._text(at)) if is_open else ("closed_on", closed_text)
                reason = f"lies before the move to {last.to_stage} on {self.day(last.effective_at)} ({where})"
                return Contradiction(name, text, reason)
            end = ImportedStage(PipelineStage(wanted), max(at, last.effective_at))
            return _Path([*_without_repeats(stages), end], is_given, end)
        return _Path(_without_repeats(stages), is_given)

    def _with_known(self, row: Row, path: "_Path", known: KnownDeal, *, has_history: bool) -> "_Path | Contradiction":
        """The ledger's path with what the file adds to it; unchanged when that is nothing."""
        had = set(known.moves)
        last_stage, last_at = known.moves[-1]
        last_day = self.day(last_at)
        news = []
        for each in path.stages:
            if (each.to_stage, each.effective_at) in had:
                continue
            if each is path.end:
                if self.day(each.effective_at) < last_day or each.to_stage == last_stage:
                    continue
                each = ImportedStage(each.to_stage, max(each.effective_at, last_at))
            elif (
                each is path.stages[0]
                and not path.is_opening_given
                and (has_history or self.day(each.effective_at) <= last_day)
            ):
                continue  # an opening worked out from dates alone: the ledger knows better
            news.append(each)
        before = [ImportedStage(stage, at) for stage, at in known.moves]
        merged = _without_repeats(sorted([*before, *news], key=lambda each: each.effective_at))
        is_told = all((each.to_stage, each.effective_at) in had for each in path.stages)
        is_news = any((each.to_stage, each.effective_at) not in had for each in merged)
        if is_news or is_told or row["stage"] in (last_stage, CANCELLED):
            path.stages = merged
        else:
            reason = (
                f"differs from the ledger's {last_stage}, and no date after {self._text(last_at)} says when it moved"
            )
            return Contradiction("stage", row["t:stage"], reason)
        return path

    def _imported(
        self,
        row: Row,
        agent_id: str,
        closed: datetime | None,
        path: "_Path",
    ) -> ImportedDeal:
        is_open = self._is_open(row)
        stages, cancelled_at = path.stages, path.cancelled_at
        expected = _aware(row["expected_close"]) or (closed if is_open else None)
        is_closed = not stages[-1].to_stage.is_open and cancelled_at is None
        ended = (None if is_open else closed) or stages[-1].effective_at
        metadata = {key[5:]: value for key, value in row.items() if key.startswith("meta:") and value is not None}
        return ImportedDeal(
            external_ref=f"{self.mapping.source}:{row['id']}",
            agent_id=agent_id,
            title=row["title"] or (f"{row['company']} ({row['id']})" if row["company"] else f"Deal {row['id']}"),
            asset_type=AssetType(row["asset_type"]),
            deal_type=DealType(row["deal_type"]),
            opened_at=stages[0].effective_at,
            stages=stages,
            lead_source=row["lead_source"],
            description=row["description"],
            metadata=metadata or None,
            estimated_value_amount=row["value"],
            estimated_value_currency=row["currency"] or self.default_currency,
            confidence=row["confidence"],
            expected_close_date=self.day(expected) if expected else None,
            actual_close_date=self.day(ended) if is_closed else None,
            is_cancelled=cancelled_at is not None,
            cancelled_at=cancelled_at,
            cancel_reason="Cancelled in the CRM" if cancelled_at else None,
            company=row["company"],
            contact_name=row["contact_name"],
        )

    def commission(self, row: Row, agent_id: str, opened: datetime | None) -> ImportedCommission | Contradiction:
        """Turn a commission row into a commission with its history; `opened` is when its deal was opened, if known."""
        history = self._statuses(row, opened)
        if isinstance(history, Contradiction):
            return history
        introduced, statuses = history
        dispute = self._dispute(row, introduced)
        if isinstance(dispute, Contradiction):
            return dispute
        adjustment = self._adjustment(row, introduced)
        if isinstance(adjustment, Contradiction):
            return adjustment
        stands = statuses[-1][0] if statuses else CommissionStatus.PENDING
        if dispute and dispute.resolved_at is None:
            stands = CommissionStatus.DISPUTED
        if row["status"] not in (None, stands):
            return Contradiction("status", row["status"], f"contradicts the dates of the row, by which it is {stands}")
        return ImportedCommission(
            deal_external_ref=f"{self.mapping.source}:{row['deal_id']}",
            agent_id=agent_id,
            commission_type=CommissionType(row["commission_type"]),
            basis_amount=row["basis"],
            basis_currency=row["currency"],
            commission_rate=row["rate"],
            introduced_at=introduced,
            commission_amount=row["amount"],
            statuses=statuses,
            adjustments=[adjustment] if adjustment else [],
            disputes=[dispute] if dispute else [],
        )

    def _statuses(
        self, row: Row, opened: datetime | None
    ) -> tuple[datetime, list[tuple[CommissionStatus, datetime]]] | Contradiction:
        introduced = last = self._not_before(_aware_required(row["introduced_on"]), opened)
        statuses: list[tuple[CommissionStatus, datetime]] = []
        skipped: str | None = None
        before = "introduced_on"
        for status in (CommissionStatus.CONFIRMED, CommissionStatus.INVOICED, CommissionStatus.PAID):
            name = f"{status}_on"
            at = _aware(row[name])
            if at is None:
                skipped = skipped or name
                continue
            if skipped:
                given = self.column(Section.COMMISSIONS, name)
                return Contradiction(skipped, None, f"is empty although '{given}' is given")
            if self.day(at) < self.day(last):
                earlier = self.column(Section.COMMISSIONS, before)
                return Contradiction(name, self._text(at), f"lies before '{earlier}' ({self.day(last)})")
            last, before = max(at, last), name
            statuses.append((status, last))
        if given_up := _aware(row["written_off_on"]):
            if statuses and statuses[-1][0] is CommissionStatus.PAID:
                return Contradiction("written_off_on", self._text(given_up), "is given, but the commission was paid")
            if self.day(given_up) < self.day(last):
                return Contradiction("written_off_on", self._text(given_up), f"lies before {self.day(last)}")
            statuses.append((CommissionStatus.WRITTEN_OFF, max(given_up, last)))
        return introduced, statuses

    def _dispute(self, row: Row, introduced: datetime) -> ImportedDispute | Contradiction | None:
        opened = _aware(row["disputed_on"])
        resolved = _aware(row["resolved_on"])
        if opened is None:
            for name in ("resolved_on", "outcome", "disputed_amount"):
                if row[name] is not None:
                    return Contradiction("disputed_on", None, f"is empty although '{self._named(name)}' is given")
            return None
        amount = row["disputed_amount"] if row["disputed_amount"] is not None else row["amount"]
        if amount is None:
            return Contradiction("disputed_amount", None, "is empty: how much is disputed?")
        if (resolved is None) != (row["outcome"] is None):
            empty, given = ("resolved_on", "outcome") if resolved is None else ("outcome", "resolved_on")
            return Contradiction(empty, None, f"is empty although '{self._named(given)}' is given")
        if self.day(opened) < self.day(introduced):
            return Contradiction("disputed_on", self._text(opened), f"lies before {self.day(introduced)}")
        opened = max(opened, introduced)
        if resolved and self.day(resolved) < self.day(opened):
            return Contradiction("resolved_on", self._text(resolved), f"lies before {self.day(opened)}")
        return ImportedDispute(
            amount=amount,
            opened_at=opened,
            reason=row["dispute_reason"] or "Imported",
            resolved_at=max(resolved, opened) if resolved else None,
            outcome=DisputeOutcome(row["outcome"]) if row["outcome"] else None,
        )

    def _adjustment(self, row: Row, introduced: datetime) -> ImportedAdjustment | Contradiction | None:
        names = ("adjustment_type", "adjustment_amount", "adjusted_on")
        given = [name for name in names if row[name] is not None]
        if not given:
            return None
        for name in names:
            if row[name] is None:
                return Contradiction(name, None, f"is empty although '{self._named(given[0])}' is given")
        kind = AdjustmentType(row["adjustment_type"])
        if row["adjustment_amount"] < 0 and kind is not AdjustmentType.CORRECTION:
            return Contradiction(
                "adjustment_amount", str(row["adjustment_amount"]), "must not be negative in a " + kind
            )
        at = _aware_required(row["adjusted_on"])
        if self.day(at) < self.day(introduced):
            return Contradiction("adjusted_on", self._text(at), f"lies before {self.day(introduced)}")
        return ImportedAdjustment(kind, row["adjustment_amount"], max(at, introduced), row["adjustment_note"])

    def _named(self, name: str) -> str:
        return self.column(Section.COMMISSIONS, name)

    def _not_before(self, moment: datetime, opened: datetime | None) -> datetime:
        """A date without a time is midnight, which lies before a deal opened later that day: the day is what counts."""
        return opened if opened and moment < opened and self.day(moment) == self.day(opened) else moment


@dataclass(slots=True)
class _Path:
    stages: list[ImportedStage]
    is_opening_given: bool  # its opening is a row of a file, not worked out from the deal's dates
    end: ImportedStage | None = None  # the last stage, where it was worked out from the deal's dates
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Move:
    stage: str
    effective_at: datetime
    note: str | None
    row: Row


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _aware_required(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _without_repeats(stages: list[ImportedStage]) -> list[ImportedStage]:
    """Leave out moves to the stage the deal is already in: they say nothing new."""
    kept: list[ImportedStage] = []
    for each in stages:
        if not kept or kept[-1].to_stage != each.to_stage:
            kept.append(each)
    return kept
