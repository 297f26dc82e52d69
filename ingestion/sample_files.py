"""A realistic CRM export for trials: the made-up agency of `sample_world`, written down the way real exports are.

    agents.csv   deals.csv   stage_history.csv   commissions.csv   sample.json (what was made, and which dirt)

The dirt is of two kinds: what a good import cleans (spellings, formats, signs, gaps) and what it must reject. Each is
counted as it is made, so that a test can hold an import to it, row for row. Same arguments, same bytes.
"""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from ingestion.sample_world import LOST, OPEN_STAGES, WITHDRAWN, WON, Agent, Commission, Deal, World

_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_AGENTS = ("Name", "Email", "Team", "Position", "Standing")
_DEALS = (
    "Deal ID", "Deal Name", "Agent", "Client", "Contact", "Property Class", "Service", "Stage", "Lead Source",
    "District", "Value", "Currency", "Probability", "Created", "Expected Close", "Closed",
)  # fmt: skip
_HISTORY = ("Deal ID", "Stage", "Changed At", "Changed By", "Note", "Probability")
_COMMISSIONS = (
    "Deal ID", "Agent", "Type", "Basis", "Currency", "Rate", "Amount", "Status", "Introduced", "Confirmed", "Invoiced",
    "Paid", "Written Off", "Disputed", "Disputed Amount", "Dispute Reason", "Resolved", "Outcome", "Adjustment",
    "Adjustment Amount", "Adjusted", "Adjustment Note",
)  # fmt: skip
_HEADERS = {"agents.csv": _AGENTS, "deals.csv": _DEALS, "stage_history.csv": _HISTORY, "commissions.csv": _COMMISSIONS}
_BAD_DEALS = (
    "closed_before_created", "closed_without_date", "past_close_but_open", "negative_value", "absurd_value",
    "unknown_stage", "unreadable_date", "unknown_agent",
)  # fmt: skip
_BAD_MOVES = ("unknown_deal", "before_created", "unreadable_date", "in_future", "unknown_stage", "ragged")
_BAD_COMMISSIONS = ("unknown_deal", "paid_not_invoiced", "absurd_rate", "repeated")
# One in so many gets a row that must be rejected.
_BAD_DEAL, _DUPLICATE, _UNREADABLE, _BAD_MOVE, _BAD_COMMISSION = 90, 250, 700, 150, 60


@dataclass
class FileTruth:
    """What is in one file: its rows, those to be rejected by kind, and cells that need cleaning by kind."""

    rows: int = 0
    blank_lines: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    cleaned: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "rows": self.rows,
            "blank_lines": self.blank_lines,
            "accepted": self.rows - self.rejected.total(),
            "rejected": dict(sorted(self.rejected.items())),
            "cleaned": dict(sorted(self.cleaned.items())),
        }


@dataclass
class SampleReport:
    """The files and the truth about them: per file, and over all deals that an import must accept."""

    directory: Path
    files: list[Path]
    truth: dict[str, FileTruth]
    deals: Counter[str]
    won_value: dict[str, Decimal]

    @property
    def rejected(self) -> int:
        """Rows of all files that must be rejected."""
        return sum(file.rejected.total() for file in self.truth.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the truth as plain values."""
        return {
            "files": {name: file.to_dict() for name, file in self.truth.items()},
            "deals": dict(sorted(self.deals.items())),
            "won_value": {currency: str(value) for currency, value in sorted(self.won_value.items())},
        }


def write_sample(
    directory: Path | str,
    *,
    deals: int = 5000,
    agents: int = 40,
    years: int = 3,
    seed: int = 1,
    until: date,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> SampleReport:
    """Write the sample export into `directory` (made when missing); everything in it happened before `until`.

    Memory does not grow with the number of deals. `on_progress(what, done, total)` is called every thousand deals.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    world = World(deals=deals, agents=agents, years=years, seed=seed, until=until)
    report = SampleReport(
        directory, [directory / name for name in _HEADERS], {name: FileTruth() for name in _HEADERS}, Counter(), {}
    )
    with ExitStack() as stack:
        outputs = {
            name: _Output(
                # Undecodable bytes are written through surrogates.
                stack.enter_context(
                    (directory / name).open("w", encoding="utf-8", errors="surrogateescape", newline="")
                ),
                header,
                report.truth[name],
            )
            for name, header in _HEADERS.items()
        }
        writer = _Writer(world, outputs, report, random.Random(f"dirt {seed}"))  # noqa: S311 (a sample, not a secret)
        writer.write_agents()
        for deal in world.deals():
            writer.write_deal(deal)
            if on_progress and (deal.number + 1) % 1000 == 0:
                on_progress("deals", deal.number + 1, deals)
    made = {"deals": deals, "agents": agents, "years": years, "seed": seed, "until": until.isoformat()}
    text = json.dumps({"made_with": made, **report.to_dict()}, indent=2)
    (directory / "sample.json").write_text(text + "\n", "utf-8")
    return report


class _Output:
    """One file, its rows counted."""

    def __init__(self, file: TextIO, header: tuple[str, ...], truth: FileTruth) -> None:
        self.file, self.truth, self.width = file, truth, len(header)
        self._write = csv.writer(file).writerow
        self._write(header)

    def row(self, cells: Iterable[object], rejected: str = "") -> None:
        """Write a row; `rejected` says why it must not go in."""
        self._write(cells)
        self.truth.rows += 1
        if rejected:
            self.truth.rejected[rejected] += 1

    def raw(self, line: str) -> None:
        """Write a line that is no row of this table."""
        self.file.write(line + "\r\n")
        self.truth.rows += 1
        self.truth.rejected["unreadable_row"] += 1

    def blank(self, line: str) -> None:
        """Write a line without content."""
        self.file.write(line + "\r\n")
        self.truth.blank_lines += 1


class _Writer:
    def __init__(self, world: World, outputs: dict[str, _Output], report: SampleReport, rng: random.Random) -> None:
        self.world, self.report, self.rng = world, report, rng
        self.agents, self.deals, self.history, self.commissions = outputs.values()

    def write_agents(self) -> None:
        """Write the people, one of them twice."""
        for number, agent in enumerate(self.world.agents):
            row = (agent.name, agent.email, f"Team {number % 5 + 1}", agent.position, agent.standing)
            self.agents.row(row)
            if number == 0:
                self.agents.row((agent.name.upper(), *row[1:]), "duplicate_person")

    def write_deal(self, deal: Deal) -> None:
        """Write a deal with its history and commissions, and now and then a row that must be rejected."""
        row = self._deal_row(deal)
        bad = self._spoil(deal, row) if self._chance(_BAD_DEAL) else ""
        self.deals.row(row, bad)
        if not bad:
            self._tally(deal)
            if self._chance(_DUPLICATE):
                row[_DEALS.index("Value")] = "1"
                self.deals.row(row, "duplicate_id")
        if self._chance(_UNREADABLE):
            self.deals.raw(self._unreadable(deal))
        if deal.number % 2500 == 1200:
            self.deals.blank("," * (self.deals.width - 1) if deal.number % 5000 == 1200 else "")
        if bad != "closed_without_date":
            self._write_history(deal, of_rejected=bool(bad))
        self._write_commissions(deal, of_rejected=bool(bad))

    def _chance(self, one_in: int) -> bool:
        return self.rng.random() * one_in < 1

    def _tally(self, deal: Deal) -> None:
        totals = self.report.deals
        kind = {WON: "won", LOST: "lost", WITHDRAWN: "cancelled"}.get(deal.stage, "open")
        totals[kind] += 1
        totals["reopened"] += any(stage in (WON, LOST) for stage, _ in deal.path[:-1])
        totals["stage_events"] += sum(stage != WITHDRAWN for stage, _ in deal.path)
        totals["commissions"] += len(deal.commissions)
        totals["disputed_commissions"] += sum(each.disputed is not None for each in deal.commissions)
        totals["adjusted_commissions"] += sum(each.adjusted is not None for each in deal.commissions)
        if kind == "won":
            values = self.report.won_value
            values[deal.currency] = values.get(deal.currency, Decimal(0)) + deal.value

    def _deal_row(self, deal: Deal) -> list[str]:
        truth = self.deals.truth
        truth.cleaned["missing_client"] += not deal.client
        closed = "" if deal.is_open else self._date(deal.path[-1][1].date(), truth)
        return [
            deal.id,
            deal.title,
            self._name(deal.agent, truth),
            deal.client,
            deal.contact,
            deal.property_class,
            deal.service,
            deal.stage if self.rng.random() < 0.9 else deal.stage.upper(),
            self._source(deal.source, truth),
            deal.district,
            self._money(deal.value, deal.currency, truth),
            deal.currency,
            "" if deal.confidence is None else f"{deal.confidence}{'%' * (self.rng.random() < 0.3)}",
            self._date(deal.opened.date(), truth),
            self._date(deal.expected_close, truth) if deal.is_open else "",
            closed,
        ]

    def _spoil(self, deal: Deal, row: list[str]) -> str:
        """Make a deal's row one that must be rejected; return how, or nothing where it cannot be done to this deal."""
        kind = _BAD_DEALS[int(self.rng.random() * len(_BAD_DEALS))]
        created, closed = _DEALS.index("Created"), _DEALS.index("Closed")
        match kind:
            case "closed_before_created":
                if deal.is_open:
                    return ""
                row[closed] = (deal.opened.date() - timedelta(days=10 + int(self.rng.random() * 30))).isoformat()
            case "closed_without_date":
                if deal.is_open:
                    return ""
                row[closed] = ""
            case "past_close_but_open":
                past = self.world.until - timedelta(days=1)
                if not deal.is_open or past < deal.opened.date():
                    return ""
                row[closed] = past.isoformat()
            case "negative_value":
                row[_DEALS.index("Value")] = f"-{deal.value}"
            case "absurd_value":
                row[_DEALS.index("Value")] = ("1e308", "NaN", "999999999999999999")[int(self.rng.random() * 3)]
            case "unknown_stage":
                row[_DEALS.index("Stage")] = "Pencilled"
            case "unreadable_date":
                row[created] = ("31/02/2024", "soon", "2024-13-01")[int(self.rng.random() * 3)]
            case _:
                row[_DEALS.index("Agent")] = "Temp Desk"
        return kind

    def _unreadable(self, deal: Deal) -> str:
        pad = "," * (self.deals.width - 2)
        return (
            f"D-X{deal.number},broken off in the middle of",
            f"D-X{deal.number},too many cells{pad},,,",
            f"D-X{deal.number},damaged \0{pad}",
            f"D-X{deal.number},caf\udce9 in Latin-1{pad}",
        )[int(self.rng.random() * 4)]

    def _write_history(self, deal: Deal, *, of_rejected: bool) -> None:
        why = "deal_rejected" if of_rejected else ""
        truth = self.history.truth
        for (stage, at), note, stated in zip(deal.path, deal.notes, deal.stated, strict=True):
            told = (deal.id, stage, self._moment(at, truth), self._name(deal.agent, None), note)
            self.history.row((*told, "" if stated is None else stated), why)
        if of_rejected or not self._chance(_BAD_MOVE):
            return
        kind = _BAD_MOVES[int(self.rng.random() * len(_BAD_MOVES))]
        at = deal.path[0][1]
        stage = OPEN_STAGES[2]
        match kind:
            case "unknown_deal":
                self.history.row((f"D-GONE{deal.number}", stage, self._moment(at, None), "", "", ""), kind)
            case "before_created":
                earlier = at - timedelta(days=5 + int(self.rng.random() * 30))
                self.history.row((deal.id, stage, self._moment(earlier, None), "", "", ""), kind)
            case "unreadable_date":
                self.history.row((deal.id, stage, "last Tuesday", "", "", ""), kind)
            case "in_future":
                self.history.row((deal.id, stage, "2199-01-01 09:00", "", "", ""), kind)
            case "unknown_stage":
                self.history.row((deal.id, "Pencilled", self._moment(at, None), "", "", ""), kind)
            case _:
                self.history.raw(f"{deal.id},{stage}")

    def _write_commissions(self, deal: Deal, *, of_rejected: bool) -> None:
        why = "deal_rejected" if of_rejected else ""
        for commission in deal.commissions:
            row = self._commission_row(deal, commission)
            self.commissions.row(row, why)
            if of_rejected or not self._chance(_BAD_COMMISSION):
                continue
            kind = _BAD_COMMISSIONS[int(self.rng.random() * len(_BAD_COMMISSIONS))]
            bad = list(row)
            if kind != "repeated":
                bad[_COMMISSIONS.index("Type")] = "Referral"
            if kind == "unknown_deal":
                bad[0] = f"D-GONE{deal.number}"
            elif kind == "absurd_rate":
                bad[_COMMISSIONS.index("Rate")] = "250%"
            elif kind == "paid_not_invoiced":
                bad[_COMMISSIONS.index("Invoiced")] = ""
                bad[_COMMISSIONS.index("Paid")] = (self.world.until - timedelta(days=1)).isoformat()
            self.commissions.row(bad, kind)

    def _commission_row(self, deal: Deal, claim: Commission) -> list[str]:
        truth = self.commissions.truth

        def on(day: date | None) -> str:
            return self._date(day, truth) if day else ""

        return [
            deal.id,
            self._name(claim.agent, truth),
            claim.kind,
            f"{claim.basis:.2f}",
            deal.currency,
            f"{claim.rate}%",
            self._money(claim.amount, deal.currency, truth),
            claim.status,
            on(claim.introduced),
            on(claim.confirmed),
            on(claim.invoiced),
            on(claim.paid),
            on(claim.written_off),
            on(claim.disputed),
            f"{claim.disputed_amount}" if claim.disputed_amount is not None else "",
            "Split between agents is contested" if claim.disputed else "",
            on(claim.resolved),
            claim.outcome,
            claim.adjustment,
            f"{claim.adjustment_amount}" if claim.adjustment_amount is not None else "",
            on(claim.adjusted),
            "Tenant broke the lease" if claim.adjustment == "Clawback" else "",
        ]

    # ---- how people write

    def _name(self, agent: Agent, truth: FileTruth | None) -> str:
        chance = self.rng.random()
        if chance < 0.7:
            return agent.name
        if truth:
            truth.cleaned["agent_respelled"] += 1
        if chance < 0.82:
            return f"{agent.last.upper()}, {agent.first}"
        return f"{agent.first.lower()}  {agent.last.lower()}" if chance < 0.95 else agent.email

    def _source(self, source: str, truth: FileTruth) -> str:
        if self.rng.random() < 0.8:
            return source
        truth.cleaned["lead_source_respelled"] += 1
        return source.upper().replace("-", " ")

    def _money(self, amount: Decimal, currency: str, truth: FileTruth) -> str:
        chance = self.rng.random()
        if chance < 0.5:
            return f"{amount}"
        truth.cleaned["amount_decorated"] += 1
        sign = {"SGD": "S$", "USD": "US$"}[currency]
        if chance < 0.75:
            return f"{sign}{amount:,}"
        return f"{sign} {amount:,.2f}" if chance < 0.9 else f"{currency} {amount:.2f}"

    def _date(self, day: date, truth: FileTruth | None) -> str:
        chance = self.rng.random()
        if chance < 0.6:
            return f"{day.year}-{day.month:02d}-{day.day:02d}"
        if truth:
            truth.cleaned["date_in_other_format"] += 1
        if chance < 0.85:
            return f"{day.day:02d}/{day.month:02d}/{day.year}"
        return f"{day.day} {_MONTH_NAMES[day.month - 1]} {day.year}"

    def _moment(self, at: datetime, truth: FileTruth | None) -> str:
        chance = self.rng.random()
        clock = f"{at.hour:02d}:{at.minute:02d}"
        if chance < 0.7:
            return f"{at.year}-{at.month:02d}-{at.day:02d} {clock}"
        if truth:
            truth.cleaned["date_in_other_format"] += 1
        if chance < 0.9:
            return f"{at.day:02d}/{at.month:02d}/{at.year} {clock}"
        half = f"{at.hour % 12 or 12:02d}:{at.minute:02d} {'PM' if at.hour >= 12 else 'AM'}"
        return f"{at.day} {_MONTH_NAMES[at.month - 1]} {at.year} {half}"
