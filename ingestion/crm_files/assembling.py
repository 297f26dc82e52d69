"""Rows of several files become one fact: a deal with its whole path, a commission with its whole history.

Pure functions: what contradicts itself is returned as `Contradiction` (field, value, reason), never guessed at.
A date without a time counts as midnight, and within one day the order of the facts, not the clock, decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.crm_files.fields import CANCELLED, STAGES, Section
from ingestion.crm_files.mapping import Mapping
from ledger.imported import ImportedDeal, ImportedStage
from ledger.vocabulary import AssetType, DealType, PipelineStage

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

    def __init__(
        self, mapping: Mapping, now: datetime, default_currency: str, columns: dict[Section, dict[str, str]]
    ) -> None:
        """`columns`: by section, what the files call our fields."""
        self.mapping = mapping
        self.zone: ZoneInfo = mapping.zone
        self.today = now.astimezone(self.zone).date()
        self.default_currency = default_currency
        part = mapping.deals
        self._opening = PipelineStage((part and part.opening_stage) or PipelineStage.LEAD_CAPTURED)
        self._is_planned = bool(part and part.close_dates == "planned")
        self._columns = columns

    def day(self, moment: datetime) -> date:
        """Return the day of a moment in the files' time zone."""
        return moment.astimezone(self.zone).date()

    def column(self, section: Section, name: str) -> str:
        """Return what the file calls a field."""
        return self._columns.get(section, {}).get(name, name)

    def deal(self, row: Row, history: Sequence[Row], agent_id: str, known: KnownDeal | None) -> AssembledDeal:
        """Put a deal row and its stage rows (in any order) together."""
        result = AssembledDeal(Contradiction("id", row["id"], ""))
        opened = aware(row["opened_on"])
        history = [*history, *_moves_of_row(row, has_history=bool(history))]
        if row["result"] not in (None, "open"):
            if not self._is_open(row) and row["stage"] != row["result"]:
                name = self.column(Section.DEALS, "stage")
                reason = f"contradicts '{name}', which says '{row['t:stage']}'"
                result.deal = Contradiction("result", row["t:result"], reason)
                return result
            row = row | {"stage": row["result"], "t:stage": row["t:result"] or row["result"], "stage_since": None}
        moves = self._sound_moves(row, in_order(history, row["stage"]), opened, result)
        if own := next((problem for each, problem in result.bad_moves if "column" in each), None):
            result.deal, result.bad_moves = own, []
            return result
        closed = self._closing(row, moves)
        if opened is None and not moves:
            opened = aware(row["stage_since"])
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
            result.deal = self._imported(row, agent_id, aware(row["closed_on"]) if self._is_open(row) else closed, path)
        return result

    def _closing(self, row: Row, moves: list["_Move"]) -> datetime | None:
        """When the deal closed, or is to close. A planned date that has passed, or that a closed deal has yet ahead,
        is no such fact: it was a plan."""
        closed = aware(row["closed_on"])
        if closed is None or not self._is_planned:
            return closed
        if self._is_open(row):
            return None
        ends = [move.effective_at for move in moves if move.stage == row["stage"]]
        return ends[-1] if ends and self.day(closed) > self.today else closed

    def _is_open(self, row: Row) -> bool:
        return row["stage"] != CANCELLED and PipelineStage(row["stage"]).is_open

    def _sound_moves(
        self, row: Row, history: Sequence[Row], opened: datetime | None, result: AssembledDeal
    ) -> list["_Move"]:
        moves = []
        for each in history:
            move = _Move(each["stage"], each["moved_on"].replace(tzinfo=UTC), each["note"], each["confidence"], each)
            if opened and self.day(move.effective_at) < self.day(opened):
                column = self.column(Section.DEALS, "opened_on")
                reason = f"lies before the deal was opened ('{column}' {self.day(opened)}, line {row['line']})"
                name = each.get("column", "moved_on")
                result.bad_moves.append((each, Contradiction(name, self.text_of(move.effective_at), reason)))
            else:
                moves.append(move)
        return moves

    def text_of(self, moment: datetime) -> str:
        """Return a moment as messages show it."""
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
        stages = [
            ImportedStage(PipelineStage(m.stage), m.effective_at, m.note, m.confidence)
            for m in moves
            if m.stage != CANCELLED
        ]
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
            return Contradiction(
                "stage", said, f"contradicts the stage history, where {given_up[-1].place} gives the deal up"
            )
        if last.to_stage != wanted:
            at = (aware(row["stage_since"]) if is_open else None) or (None if is_open else closed)
            where = f"{moves[-1].place} of the stage history" if moves else "the opening"
            if at is None and is_open:
                reason = f"contradicts {where}, where the deal's last move is to {last.to_stage}"
                return Contradiction("stage", said, reason)
            if at is None:
                return Contradiction(
                    "stage", said, f"needs a date, but '{closed_name}' is empty and no stage row gives one"
                )
            if self.day(at) < self.day(last.effective_at):
                name, text = ("stage_since", self.text_of(at)) if is_open else ("closed_on", closed_text)
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
                f"differs from the ledger's {last_stage}, and no date after {self.text_of(last_at)} says when it moved"
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
        expected = aware(row["expected_close"]) or (closed if is_open else None)
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
            # Once a deal is closed, 100 % and 0 % say how it ended: nobody stated them while it was open.
            confidence=row["confidence"] if is_open or row["confidence"] not in (0, 1) else None,
            expected_close_date=self.day(expected) if expected else None,
            actual_close_date=self.day(ended) if is_closed else None,
            is_cancelled=cancelled_at is not None,
            cancelled_at=cancelled_at,
            cancel_reason="Cancelled in the CRM" if cancelled_at else None,
            company=row["company"],
            contact_name=row["contact_name"],
        )


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
    confidence: Decimal | None
    row: Row

    @property
    def place(self) -> str:
        """Where the files say so."""
        return f"'{self.row['column']}'" if "column" in self.row else f"line {self.row['line']}"


def in_order(history: Sequence[Row], stands: str) -> list[Row]:
    """Return stage rows in order of time, whatever their order in the files. Of rows with the very same time, the
    earlier stage of the pipeline comes first, but at the end the one that the deal stands in is last."""
    last = max((each["moved_on"] for each in history), default=None)
    return sorted(
        history,
        key=lambda each: (
            each["moved_on"],
            each["moved_on"] == last and each["stage"] == stands,
            STAGES.index(each["stage"]),
            each["note"] or "",
            (each["confidence"] is None, each["confidence"] or 0),
        ),
    )


def _moves_of_row(row: Row, *, has_history: bool) -> list[Row]:
    """The moves that the deal's own row dates: by columns of stage dates, or, where it ended in `result`, the last
    open stage by `stage_since`."""
    unsaid = {"note": None, "confidence": None, "line": row["line"], "file": row["file"]}
    found = [each | unsaid for each in row.get("stage_dates") or []]
    if row["result"] not in (None, "open") and row["stage_since"] and not found and not has_history:
        found.append({"stage": row["stage"], "moved_on": row["stage_since"], "column": "stage_since"} | unsaid)
    return found


def aware(moment: datetime | None) -> datetime | None:
    """Return a staged moment (naive UTC) as the aware one it is."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def _without_repeats(stages: list[ImportedStage]) -> list[ImportedStage]:
    """Leave out moves to the stage the deal is already in: they say nothing new."""
    kept: list[ImportedStage] = []
    for each in stages:
        if not kept or kept[-1].to_stage != each.to_stage:
            kept.append(each)
    return kept
