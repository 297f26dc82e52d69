"""From an export to `stage_visits`: neither the order of a history's rows nor the way its times are written matters."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from ingestion.crm_files.fields import STAGES
from ingestion.landing import land_new_entries
from tests.support.crm_export import DEALS, HISTORY, MAPPING, import_export, write_file, write_mapping
from tests.support.dbt_runs import Warehouse
from tests.support.ledger import build_ledger

LONDON = ZoneInfo("Europe/London")
SINGAPORE = timezone(timedelta(hours=8))
# Steps of five minutes, so that moves are undone in time and not, around both clock changes of 2025 in London.
MOMENTS = [
    datetime(2025, month, day, 1, tzinfo=UTC) + timedelta(minutes=5 * step)
    for month, day in ((3, 30), (10, 26))
    for step in range(-18, 18)
]
# To a stage when the clock is put forward, and back ten minutes later: undone, so no visit.
UNDONE = [(MOMENTS[16], 0), (MOMENTS[18], 1), (MOMENTS[20], 0)]
DEALS_N = 40


def ways_to_write(moment: datetime) -> Iterator[str]:
    """In Singapore's offset, in Z, in London's offset; and as London's clock showed it where it showed that once."""
    yield moment.astimezone(SINGAPORE).isoformat()
    yield moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield moment.astimezone(LONDON).isoformat()
    clock = moment.astimezone(LONDON).replace(tzinfo=None)
    if clock.replace(tzinfo=LONDON, fold=0).utcoffset() == clock.replace(tzinfo=LONDON, fold=1).utcoffset():
        yield clock.strftime("%Y-%m-%d %H:%M")


def standing(moves: list[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """The moves in order that begin a visit, by the plain rule: no repeats, and none that is taken back in ten minutes."""
    visits: list[tuple[datetime, str]] = []
    for moment, stage in (move for index, move in enumerate(moves) if not index or move[1] != moves[index - 1][1]):
        if len(visits) > 1 and visits[-2][1] == stage and moment - visits[-1][0] <= timedelta(minutes=10):
            visits.pop()
        else:
            visits.append((moment, stage))
    return visits


def test_an_import_in_any_order_gives_the_visits_of_the_order(warehouse: Warehouse, tmp_path: Path) -> None:
    """Forty histories with ties, undone moves and re-entries: imported in order and in UTC, then as another source with
    all rows shuffled and times written in mixed offsets and by the clock of London, over both its changes."""
    rng = Random(7)
    ordered, deals, expected = [], [], []
    for deal in range(DEALS_N):
        moments = rng.choices(MOMENTS, k=rng.randint(2, 9))
        moves = sorted({(moment, rng.choice(range(4))) for moment in [*moments, moments[0]]}) if deal else UNDONE
        path = [(moment, STAGES[stage]) for moment, stage in moves]
        ordered += [(deal, *move) for move in path]
        expected += [(deal, *visit) for visit in standing(path)]
        deals.append(f"{deal},Ada Low,,{STAGES[moves[-1][1]]},,,,")
    shuffled = rng.sample(ordered, len(ordered))
    histories = {
        "ordered": [f"{deal},{stage},{moment.isoformat()}" for deal, moment, stage in ordered],
        "shuffled": [f"{deal},{stage},{rng.choice([*ways_to_write(moment)])}" for deal, moment, stage in shuffled],
    }
    ledger = build_ledger(tmp_path / "home")
    for source, rows in histories.items():
        mapping = MAPPING.replace('"tiny"', f'"{source}"').replace("Asia/Singapore", "Europe/London")
        files = [write_file(tmp_path, "deals.csv", DEALS, *deals), write_file(tmp_path, "history.csv", HISTORY, *rows)]
        assert import_export(ledger, tmp_path, files, mapping=write_mapping(tmp_path, mapping)).rejected == 0
    land_new_entries(ledger, warehouse.path)
    models = ("--resource-type", "model", "--resource-type", "seed")
    warehouse.run_dbt("build", "--select", "+stage_visits", *models, as_of_date="2025-12-31")
    visits = {
        source: warehouse.rows(
            "SELECT split_part(external_ref, ':', 2)::int AS deal, visits.* EXCLUDE deal_id"
            " FROM marts.stage_visits AS visits"
            " JOIN marts.deal_revisions AS deals ON visits.deal_id = deals.deal_id AND deals.valid_to IS NULL"
            " WHERE split_part(external_ref, ':', 1) = ? ORDER BY deal, visit",
            source,
        )
        for source in histories
    }
    assert visits["shuffled"] == visits["ordered"]
    assert [(visit["deal"], visit["entered_at"], visit["stage"]) for visit in visits["ordered"]] == expected
    assert [stage for deal, _, stage in expected if deal == 0] == ["lead_captured"]
    assert len({(deal, stage) for deal, _, stage in expected}) < len(expected), "no re-entry is among them"
    assert any(visit["duration_seconds"] == 0 for visit in visits["ordered"]), "no tie is among them"
