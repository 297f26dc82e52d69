"""A history tells the same path in whatever order its rows come and with whatever offsets its times are written."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ingestion.crm_files.fields import STAGES
from ledger.rebuild import compare_tables
from ledger.store import Ledger
from ledger.tables import AgentDeal, StageEvent
from tests.support.crm_export import DEALS, HISTORY, MAPPING, import_export, write_file, write_mapping
from tests.support.ledger import build_ledger

BERLIN = ZoneInfo("Europe/Berlin")
OPEN = STAGES[:8]
Move = tuple[datetime, str]
# Hours around both clock changes of 2025 in Berlin: 30 March 01:00 UTC and 26 October 01:00 UTC.
MOMENTS = [
    datetime(2025, month, day, tzinfo=UTC) + timedelta(minutes=30 * half)
    for month, day in ((3, 30), (10, 26))
    for half in range(8)
]
histories = st.lists(st.tuples(st.sampled_from(MOMENTS), st.sampled_from(OPEN)), min_size=1, max_size=8)
numbers = count()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return build_ledger(tmp_path_factory.mktemp("home"))


def in_order(moves: list[Move]) -> list[Move]:
    return sorted(moves, key=lambda move: (move[0], OPEN.index(move[1])))


def written(moment: datetime, minutes: int | None) -> str:
    """A moment with an offset; or in Berlin's local time where that is one moment only."""
    local = moment.astimezone(BERLIN).replace(tzinfo=None)
    if (
        minutes is None
        and local.replace(tzinfo=BERLIN, fold=0).utcoffset() == local.replace(tzinfo=BERLIN, fold=1).utcoffset()
    ):
        return local.strftime("%Y-%m-%d %H:%M")
    return moment.astimezone(timezone(timedelta(minutes=minutes or 0))).isoformat()


def path_of(ledger: Ledger, key: str) -> list[Move]:
    with ledger.read() as session:
        rows = session.execute(
            select(StageEvent.effective_at, StageEvent.to_stage)
            .join(AgentDeal, AgentDeal.id == StageEvent.deal_id)
            .where(AgentDeal.external_ref == f"tiny:{key}")
            .order_by(StageEvent.effective_at, StageEvent.audit_log_seq)
        ).all()
    return [(at, stage.value) for at, stage in rows]


def expected(moves: list[Move], stands: str) -> list[Move]:
    """The path by the rule in the guide, from moves in order."""
    last = moves[-1][0]
    ordered = [move for move in moves if move != (last, stands)] + [move for move in moves if move == (last, stands)]
    return [move for index, move in enumerate(ordered) if not index or move[1] != ordered[index - 1][1]]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), moves=histories)
def test_any_order_ties_and_offsets_give_the_path_of_the_order(
    ledger: Ledger, tmp_path: Path, data: st.DataObject, moves: list[Move]
) -> None:
    """One deal's rows in order and in UTC, the other's shuffled and in mixed offsets: the same moments and stages."""
    number = next(numbers)
    ordered = in_order(moves)
    stands = data.draw(st.sampled_from([stage for at, stage in ordered if at == ordered[-1][0]]))
    offsets = st.sampled_from([None, 0, 60, 120, 330, 480, -600])
    shuffled = [
        f"b{number},{stage},{written(at, data.draw(offsets))}" for at, stage in data.draw(st.permutations(moves))
    ]
    straight = [f"a{number},{stage},{at.isoformat()}" for at, stage in ordered]
    mapping = write_mapping(tmp_path, MAPPING.replace("Asia/Singapore", "Europe/Berlin"))
    rows = [f"{name}{number},Ada Low,,{stands},,,," for name in "ab"]
    deals = write_file(tmp_path, "deals.csv", DEALS, *rows)
    history = write_file(tmp_path, "history.csv", HISTORY, *straight, *shuffled)
    report = import_export(ledger, tmp_path, [deals, history], mapping=mapping)
    assert report.rejected == 0
    assert path_of(ledger, f"b{number}") == path_of(ledger, f"a{number}") == expected(ordered, stands)
    again = import_export(ledger, tmp_path, [deals, history], mapping=mapping)
    assert (again.entries, again.rejected) == (0, 0)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), moves=histories)
def test_a_history_that_comes_after_its_deal_in_any_order(
    ledger: Ledger, tmp_path: Path, data: st.DataObject, moves: list[Move]
) -> None:
    """The deal is in the ledger already; the rows of a history file of its own land in order of time."""
    number = next(numbers)
    mapping = write_mapping(tmp_path, MAPPING.replace("Asia/Singapore", "Europe/Berlin"))
    rows = [f"{name}{number},Ada Low,,New,,,2025-01-02," for name in "cd"]
    import_export(ledger, tmp_path, [write_file(tmp_path, "deals.csv", DEALS, *rows)], mapping=mapping)
    straight = [f"c{number},{stage},{at.isoformat()}" for at, stage in in_order(moves)]
    shuffled = [f"d{number},{stage},{at.isoformat()}" for at, stage in data.draw(st.permutations(moves))]
    report = import_export(
        ledger, tmp_path, [write_file(tmp_path, "history.csv", HISTORY, *straight, *shuffled)], mapping=mapping
    )
    assert report.rejected == 0
    assert path_of(ledger, f"d{number}") == path_of(ledger, f"c{number}")
    again = import_export(ledger, tmp_path, [tmp_path / "history.csv"], mapping=mapping)
    assert (again.entries, again.rejected) == (0, 0)


def test_the_ledger_is_what_its_log_says(ledger: Ledger) -> None:
    """After all of the above."""
    with ledger.read() as session:
        assert compare_tables(session) == []
