"""The sample knows its own truth: what an import must make of it, row for row."""

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import mean

import pytest
from sqlalchemy import func, select

from ingestion.crm_files import ImportReport, import_files
from ingestion.sample_files import SampleReport, write_sample
from ingestion.sample_world import World
from ledger.actors import SYSTEM
from ledger.rebuild import compare_tables
from ledger.store import Ledger
from ledger.tables import AgentDeal, Commission, CommissionAdjustment, CommissionDispute, StageEvent
from tests.support.ledger import build_ledger

UNTIL = date(2026, 1, 1)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    return write_sample(tmp_path_factory.mktemp("sample"), deals=1500, agents=30, seed=4, until=UNTIL)


@pytest.fixture(scope="module")
def imported(sample: SampleReport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, ImportReport]]:
    home = tmp_path_factory.mktemp("home")
    with closing(build_ledger(home)) as ledger:
        yield ledger, import_files(ledger, SYSTEM, sample.files, "sample_crm", rejects_dir=home / "rejects")


def test_the_import_rejects_what_was_made_to_be_rejected(
    sample: SampleReport, imported: tuple[Ledger, ImportReport]
) -> None:
    """Per file: rows, accepted, rejected and blank lines are those that the generator counted."""
    _, report = imported
    for path, file in zip(sample.files, report.files, strict=True):
        truth = sample.truth[path.name]
        assert (file.rows, file.rejected, file.blank_lines) == (truth.rows, truth.rejected.total(), truth.blank_lines)
        assert file.accepted == truth.to_dict()["accepted"]


REASONS = {
    "duplicate_id": "duplicate id",
    "unknown_stage": "none of our words",
    "closed_before_created": "lies before 'Created'",
    "closed_without_date": "needs a date",
    "past_close_but_open": "is past, but",
    "negative_value": "must not be negative",
    "absurd_value": "is not a number|more than 14 digits",
    "unreadable_date": "is not a date",
    "unknown_agent": "is nobody we know",
    "unreadable_row": "cells where the header has|contains ",
}


def test_each_kind_of_dirt_gets_its_own_reason(sample: SampleReport, imported: tuple[Ledger, ImportReport]) -> None:
    """As many rejects of deals for each reason as rows were spoilt that way."""
    _, report = imported
    rejects_file = report.files[1].rejects_file
    assert rejects_file
    with Path(rejects_file).open(encoding="utf-8", newline="") as rejects:
        reasons = [row["reason"] for row in csv.DictReader(rejects)]
    found = {
        kind: sum(any(text in reason for text in texts.split("|")) for reason in reasons)
        for kind, texts in REASONS.items()
    }
    assert {kind: count for kind, count in found.items() if count} == dict(sample.truth["deals.csv"].rejected)


def test_the_ledger_holds_what_was_made(sample: SampleReport, imported: tuple[Ledger, ImportReport]) -> None:
    """Deals by status, stage events, won value by currency, commissions, disputes and adjustments."""
    ledger, _ = imported
    with ledger.read() as session:
        statuses = dict(session.execute(select(AgentDeal.status, func.count()).group_by(AgentDeal.status)).all())
        won: dict[str, Decimal] = {}
        for currency, value in session.execute(
            select(AgentDeal.estimated_value_currency, AgentDeal.estimated_value_amount).where(
                AgentDeal.status == "closed_won"
            )
        ):
            won[currency] = won.get(currency, Decimal(0)) + (value or 0)
        tables = {
            table: session.scalar(select(func.count()).select_from(table))
            for table in (StageEvent, Commission, CommissionDispute, CommissionAdjustment)
        }
        assert compare_tables(session) == []
    made = sample.deals
    assert {status.value: count for status, count in statuses.items()} == {
        "open": made["open"], "closed_won": made["won"], "closed_lost": made["lost"], "cancelled": made["cancelled"],
    }  # fmt: skip
    assert won == sample.won_value
    assert tables[StageEvent] == made["stage_events"]
    assert tables[Commission] == made["commissions"]
    assert tables[CommissionDispute] == made["disputed_commissions"]
    assert tables[CommissionAdjustment] == made["adjusted_commissions"]
    assert min(made["reopened"], made["disputed_commissions"], made["adjusted_commissions"], made["cancelled"]) > 0


def test_importing_the_sample_again_adds_nothing(
    sample: SampleReport, imported: tuple[Ledger, ImportReport], tmp_path: Path
) -> None:
    """Every accepted row is unchanged, and the same rows are rejected."""
    ledger, first = imported
    again = import_files(ledger, SYSTEM, sample.files, "sample_crm", rejects_dir=tmp_path)
    assert again.entries == 0
    assert (again.accepted, again.rejected) == (first.accepted, first.rejected)
    assert sum(file.unchanged for file in again.files) == first.accepted


def test_an_entry_a_deal_or_ten(imported: tuple[Ledger, ImportReport]) -> None:
    """The size that the measurements reckon with: between 6 and 11 entries a deal."""
    _, report = imported
    assert 6 < report.entries / 1500 < 11


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """By seed; another seed gives other deals of the same people, so that both can be imported."""
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    for directory, seed in ((one, 7), (two, 7), (three, 8)):
        write_sample(directory, deals=200, agents=5, years=2, seed=seed, until=UNTIL)
    for path in sorted(one.iterdir()):
        assert path.read_bytes() == (two / path.name).read_bytes()
        is_people = path.name == "agents.csv"
        assert (path.read_bytes() == (three / path.name).read_bytes()) == is_people
    first, second = (
        {line.split(b",")[0] for line in (folder / "deals.csv").read_bytes().splitlines() if line.startswith(prefix)}
        for folder, prefix in ((one, b"D7-"), (three, b"D8-"))
    )
    assert len(first) == len(second) == 200


def test_what_agents_state_changes_nothing_of_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn from numbers of its own: without it, all other cells are the same."""
    told, untold = (tmp_path / name for name in ("told", "untold"))
    write_sample(told, deals=200, agents=5, seed=7, until=UNTIL)
    monkeypatch.setattr(World, "_state", lambda *_: None)
    write_sample(untold, deals=200, agents=5, seed=7, until=UNTIL)
    for path in sorted(told.iterdir()):
        one, two = (folder.joinpath(path.name).read_bytes() for folder in (told, untold))
        if path.name == "stage_history.csv":
            assert one != two
            one, two = (b"\n".join(line.rpartition(b",")[0] for line in text.splitlines()) for text in (one, two))
        assert one == two


def test_what_agents_state_is_worth_something_and_not_all(sample: SampleReport) -> None:
    """Most moves have a confidence, in steps of 5; what was won had been given more than what was lost."""
    with (sample.directory / "stage_history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    outcomes = {row["Deal ID"]: row["Stage"] for row in rows if row["Stage"] in ("Won", "Lost")}
    assert {row["Probability"] for row in rows if row["Stage"] == "Won"} == {"100"}
    assert {row["Probability"] for row in rows if row["Stage"] == "Lost"} == {"0"}
    proposals = [row for row in rows if row["Stage"] == "Proposal Sent" and row["Deal ID"] in outcomes]
    stated = [(int(row["Probability"]), outcomes[row["Deal ID"]]) for row in proposals if row["Probability"]]
    assert 0.8 < len(stated) / len(proposals) < 0.95
    assert {confidence % 5 for confidence, _ in stated} == {0}
    won, lost = ([confidence for confidence, outcome in stated if outcome == name] for name in ("Won", "Lost"))
    assert mean(lost) + 3 < mean(won) < mean(lost) + 20
    assert min(won) < max(lost)


def test_nothing_happens_on_the_last_day_or_after(sample: SampleReport) -> None:
    """`until` is the first day that has not happened, so that a sample made today holds no future."""
    for name, columns in {
        "deals.csv": ["Created"],
        "stage_history.csv": ["Changed At"],
        "commissions.csv": ["Paid"],
    }.items():
        with (sample.directory / name).open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                for column in columns:
                    assert not (row[column] or "").startswith("2026")
                    assert "/2026" not in (row[column] or "")


def test_the_truth_lies_beside_the_files(sample: SampleReport) -> None:
    """sample.json says what was made, for people and for scripts."""
    told = json.loads((sample.directory / "sample.json").read_text("utf-8"))
    assert told["made_with"] == {"deals": 1500, "agents": 30, "years": 3, "seed": 4, "until": "2026-01-01"}
    assert {key: told[key] for key in ("files", "deals", "won_value")} == sample.to_dict()


@pytest.mark.parametrize(("deals", "agents"), [(1, 1), (3, 2), (50, 900)])
def test_odd_sizes_work(tmp_path: Path, deals: int, agents: int) -> None:
    """One deal, one agent; more agents than names: all of them distinct."""
    report = write_sample(tmp_path, deals=deals, agents=agents, years=1, seed=2, until=UNTIL)
    with (tmp_path / "agents.csv").open(encoding="utf-8", newline="") as file:
        emails = [row["Email"] for row in csv.DictReader(file)]
    assert len(set(emails)) == agents
    assert report.truth["deals.csv"].rows >= deals
