"""A publication that starts from the last one equals one written whole, and keeps what did not change as it lies."""

import hashlib
import json
from datetime import date, timedelta
from os import SEEK_END
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import PublishFailed
from ingestion.mart_digests import PART_DAYS, digest_mart
from ingestion.marts_copied import digest_built
from ingestion.publishing import Publication, publish_marts
from ingestion.warehouse import open_warehouse
from tests.support.campaigns import rounds

FIRST_DAY = date(2024, 1, 1)
MARTS = ("agents", "daily", "histories")


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A series of 400 days, a history with and without dates, and a mart that says nothing of days."""
    path = tmp_path / "warehouse.duckdb"
    with open_warehouse(path) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            "CREATE TABLE marts.daily AS SELECT 'agent-' || a AS agent_id, DATE '2024-01-01' + d::INT AS snapshot_date,"
            " (d * a)::DECIMAL(38, 2) AS amount, DATE '2020-01-01' AS as_of_date, 1::BIGINT AS log_size,"
            " 'v' AS definition_version FROM range(400) days(d), range(3) agents(a)"
        )
        connection.execute(
            "CREATE TABLE marts.histories AS SELECT 'deal-' || i AS deal_id, "
            "CASE WHEN i % 9 > 0 THEN TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_days((i * 7 % 400)::INT) END"
            " AS entered_at, i / 7 AS days FROM range(300) t(i)"
        )
        connection.execute("CREATE TABLE marts.agents AS SELECT 'agent-' || i AS agent_id, i AS n FROM range(50) t(i)")
    return path


def publish(warehouse: Path, published: Path, run_id: str, **changes: Any) -> Publication:
    facts: dict[str, Any] = {
        "log_size": 7,
        "last_hash": None,
        "as_of_date": date(2025, 2, 3),
        "definition_version": "d" * 64,
        "business_timezone": "Asia/Singapore",
        "reporting_currency": "SGD",
        "dbt_invocation_id": None,
        "dbt_version": None,
        "reference_digest": "",
    }
    return publish_marts(warehouse, published, run_id=run_id, **(facts | changes))


def change(warehouse: Path, *statements: str) -> None:
    with open_warehouse(warehouse) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def list_content(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {mart: ask(file, f"SELECT * FROM {mart} ORDER BY ALL") for mart in MARTS}


DAYS = st.integers(0, 430)
CHANGES = st.one_of(
    st.builds(lambda day: f"DELETE FROM marts.daily WHERE snapshot_date = {_date(day)}", DAYS),
    st.builds(lambda day: f"UPDATE marts.daily SET amount = amount + 1 WHERE snapshot_date = {_date(day)}", DAYS),
    st.builds(
        lambda day: (
            f"INSERT INTO marts.daily BY NAME SELECT 'agent-9' AS agent_id, {_date(day)} AS snapshot_date, 5 AS amount"
        ),
        DAYS,
    ),
    st.builds(lambda i: f"UPDATE marts.histories SET days = days + 1 WHERE deal_id = 'deal-{i}'", DAYS),
    st.builds(lambda i: f"UPDATE marts.histories SET entered_at = NULL WHERE deal_id = 'deal-{i}'", DAYS),
    st.just("DELETE FROM marts.histories"),
    st.just("UPDATE marts.agents SET n = n + 1 WHERE n % 2 = 0"),
)


def _part(day: date) -> int:
    return (day - date(1970, 1, 1)).days // PART_DAYS


def _date(day: int) -> str:
    return f"DATE '{FIRST_DAY + timedelta(days=day)}'"


@given(st.lists(st.lists(CHANGES, max_size=4), min_size=2, max_size=4))
@settings(
    max_examples=rounds(3, 200),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_starting_from_the_last_file_gives_what_writing_it_whole_gives(
    warehouse: Path, tmp_path: Path, batches: list[list[str]]
) -> None:
    """Rows, provenance and digests, whatever was changed, added and removed in between."""
    published = tmp_path / "published"
    for old in published.glob("*"):
        old.unlink()
    publish(warehouse, published, "first")
    for number, statements in enumerate(batches):
        change(warehouse, *statements)
        later = {"log_size": 100 + number, "as_of_date": date(2025, 3, 1) + timedelta(days=number)}
        on_top = publish(warehouse, published, f"top-{number}", **later)
        whole = publish(warehouse, tmp_path / "whole", f"whole-{number}-{tmp_path.name}", whole=True, **later)
        assert on_top.marts == whole.marts
        assert list_content(published / on_top.name) == list_content(tmp_path / "whole" / whole.name)
        with open_warehouse(warehouse) as connection:
            assert [digest_mart(connection, "marts", mart) for mart in MARTS] == on_top.marts
        (tmp_path / "whole" / whole.name).with_suffix(".json").unlink()
        (tmp_path / "whole" / whole.name).unlink()


def test_rows_of_parts_that_did_not_change_stay_where_they_lie(warehouse: Path, tmp_path: Path) -> None:
    """A late entry of one day has the rows around that day written anew, and no others; another log size, none."""
    published = tmp_path / "published"
    places = "SELECT agent_id, snapshot_date, amount FROM stored.daily ORDER BY rowid"
    first = publish(warehouse, published, "first")
    before = ask(published / first.name, places)
    second = publish(warehouse, published, "second", log_size=8)
    assert ask(published / second.name, places) == before
    assert ask(published / second.name, "SELECT DISTINCT log_size FROM daily") == [(8,)]
    change(
        warehouse, "UPDATE marts.daily SET amount = -1 WHERE snapshot_date = DATE '2024-03-01' AND agent_id = 'agent-1'"
    )
    third = publish(warehouse, published, "third")
    after = ask(published / third.name, places)
    anew = {row[1] for row in after[-3:]}
    days = {day for _, day, _ in before if _part(day) == _part(min(anew))}
    assert date(2024, 3, 1) in days
    untouched = [row for row in before if row[1] not in days]
    assert after[: len(untouched)] == untouched
    assert len(after) == len(before)


def test_a_damaged_file_is_not_built_upon(warehouse: Path, tmp_path: Path) -> None:
    """What is kept from the last file is what was proved then: where one byte is another, every row is written anew."""
    published = tmp_path / "published"
    first = publish(warehouse, published, "first")
    (published / first.name).chmod(0o644)
    with duckdb.connect(published / first.name) as connection:
        connection.execute("UPDATE stored.daily SET amount = -99 WHERE snapshot_date = DATE '2024-01-05'")
    steps: list[str] = []
    second = publish(warehouse, published, "second", on_step=steps.append)
    assert steps.count("copy") == 2
    assert second.marts == first.marts
    assert ask(published / second.name, "SELECT count(*) FROM daily WHERE amount = -99") == [(0,)]
    (published / second.name).chmod(0o644)
    with (published / second.name).open("r+b") as file:
        file.seek(-1, SEEK_END)
        last = file.read(1)
        file.seek(-1, SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    steps.clear()
    assert publish(warehouse, published, "third", on_step=steps.append).marts == first.marts
    assert steps.count("copy") == 2


def test_a_file_whose_hash_is_not_known_is_not_built_upon(warehouse: Path, tmp_path: Path) -> None:
    """Manifests of earlier versions have none."""
    published = tmp_path / "published"
    first = publish(warehouse, published, "first")
    manifest = (published / first.name).with_suffix(".json")
    facts = json.loads(manifest.read_bytes())
    assert facts.pop("file_sha256") == hashlib.sha256((published / first.name).read_bytes()).hexdigest()
    manifest.write_text(json.dumps(facts))
    (published / first.name).chmod(0o644)
    with duckdb.connect(published / first.name) as connection:
        connection.execute("UPDATE stored.daily SET amount = -99 WHERE snapshot_date = DATE '2024-01-05'")
    steps: list[str] = []
    second = publish(warehouse, published, "second", on_step=steps.append)
    assert steps.count("copy") == 1
    assert second.marts == first.marts
    assert ask(published / second.name, "SELECT count(*) FROM daily WHERE amount = -99") == [(0,)]


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE stored.daily SET amount = amount + 1 WHERE snapshot_date = DATE '2024-06-01'",
        "DELETE FROM stored.daily WHERE snapshot_date = DATE '2024-01-05'",
        "INSERT INTO stored.daily SELECT * FROM stored.daily WHERE snapshot_date = DATE '2024-01-05'",
        "UPDATE stored.daily SET snapshot_date = DATE '2024-03-01' WHERE snapshot_date = DATE '2024-01-05'",
        "DELETE FROM stored.agents WHERE n = 3",
        "DELETE FROM stored.int_stays WHERE deal_id = 'deal-9'",
        "CREATE OR REPLACE VIEW stays AS SELECT *, 1 AS lasted FROM stored.int_stays",
        "CREATE OR REPLACE VIEW agents AS SELECT DISTINCT 'agent-1' AS agent_id, n // 2 AS n FROM stored.agents",
    ],
)
def test_what_was_written_is_proved_and_what_was_kept_is_counted(warehouse: Path, tmp_path: Path, spoilt: str) -> None:
    """A row changed on its way; rows kept that went with those replaced, came twice or moved; another view."""
    published = tmp_path / "published"
    change(warehouse, *STAYS, view_of_a_day("2026-01-01"))
    publish(warehouse, published, "first")
    change(warehouse, "UPDATE marts.daily SET amount = amount + 5 WHERE snapshot_date = DATE '2024-06-01'")
    steps: list[str] = []

    def spoil_once(step: str) -> None:
        steps.append(step)
        if step == "verify" and steps.count(step) == 1:
            with duckdb.connect(published / ".building-second.duckdb") as connection:
                connection.execute(spoilt)

    second = publish(warehouse, published, "second", on_step=spoil_once)
    assert steps.count("copy") == 2
    assert second.marts == publish(warehouse, tmp_path / "whole", "whole", whole=True).marts


def test_replaced_parts_lie_in_order_in_large_tables_too(warehouse: Path, tmp_path: Path) -> None:
    """Their digests are read as they lie: several groups of rows, parts side by side, apart and undated."""
    published = tmp_path / "published"
    change(
        warehouse,
        "CREATE TABLE marts.moves AS SELECT 'deal-' || hash(i) % 90000 AS deal_id, i AS n,"
        " CASE WHEN i % 50 > 0 THEN TIMESTAMPTZ '2020-01-01 00:00:00Z' + to_hours((hash(i + 1) % 20000)::INT) END"
        " AS entered_at FROM range(900000) t(i)",
    )
    publish(warehouse, published, "first")
    when = "(entered_at IS NULL OR hash(epoch_us(entered_at) // (32 * 86400000000)) % 3 = 0)"
    change(warehouse, f"UPDATE marts.moves SET n = n + 1 WHERE n % 7 = 0 AND {when}")
    steps: list[str] = []
    second = publish(warehouse, published, "second", on_step=steps.append)
    assert steps.count("copy") == 1
    with open_warehouse(warehouse) as connection:
        assert digest_mart(connection, "marts", "moves") == next(m for m in second.marts if m.mart == "moves")


def view_of_a_day(day: str) -> str:
    """A mart that says something else on another day."""
    return (
        "CREATE OR REPLACE VIEW marts.stays AS WITH stays AS (SELECT * FROM warehouse.intermediate.int_stays)"
        f" SELECT deal_id, entered_at, epoch_us(coalesce(left_at, '{day}'::TIMESTAMPTZ)) - epoch_us(entered_at)"
        " AS lasted,"
        f" '{day}'::DATE AS as_of_date, 1::BIGINT AS log_size, 'v' AS definition_version FROM stays"
    )


# Their rows also lie at the two ends of the calendar.
STAYS = (
    "CREATE SCHEMA intermediate",
    "CREATE TABLE intermediate.int_stays AS SELECT 'deal-' || i AS deal_id,"
    " CASE i WHEN 1 THEN TIMESTAMPTZ '0001-01-01 00:00:00Z' WHEN 2 THEN TIMESTAMPTZ '9999-12-31 23:59:59Z'"
    " ELSE TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_days((i % 400)::INT) END AS entered_at,"
    " CASE WHEN i % 4 > 0 THEN entered_at + INTERVAL 3 DAY END AS left_at, 1::BIGINT AS log_size FROM range(800) t(i)",
)


def test_what_lasts_is_another_number_on_another_day_and_no_row_is_written_for_it(
    warehouse: Path, tmp_path: Path
) -> None:
    """A mart that is a view is one in the file, on what was copied: the file needs no warehouse to say the same."""
    published = tmp_path / "published"
    change(warehouse, *STAYS, view_of_a_day("2026-01-01"))
    first = publish(warehouse, published, "first")
    seen = ask(warehouse, "SELECT * EXCLUDE (log_size) FROM marts.stays ORDER BY ALL")
    assert ask(published / first.name, "SELECT * EXCLUDE (log_size) FROM stays ORDER BY ALL") == seen
    places = ask(published / first.name, "SELECT rowid, * FROM stored.int_stays ORDER BY rowid")
    change(warehouse, view_of_a_day("2026-01-02"))
    second = publish(warehouse, published, "second")
    later = ask(published / second.name, "SELECT * EXCLUDE (log_size) FROM stays ORDER BY ALL")
    assert later == ask(warehouse, "SELECT * EXCLUDE (log_size) FROM marts.stays ORDER BY ALL") != seen
    assert ask(published / second.name, "SELECT rowid, * FROM stored.int_stays ORDER BY rowid") == places
    change(warehouse, "UPDATE intermediate.int_stays SET left_at = entered_at WHERE deal_id IN ('deal-2', 'deal-4')")
    third = publish(warehouse, published, "third")
    whole = publish(warehouse, published, "fourth", whole=True)
    digests = [next(mart for mart in found.marts if mart.mart == "stays") for found in (first, second, third, whole)]
    assert digests[0] == digests[1] != digests[2] == digests[3]
    assert digests[0].row_count == 800
    with open_warehouse(warehouse) as connection:
        assert digest_built(connection, "stays") == digests[3]
    assert ask(published / third.name, "SELECT min(lasted) FROM stays") == [(0,)]


def test_what_readers_see_of_a_view_is_proved(warehouse: Path, tmp_path: Path) -> None:
    """Rows that it reads, damaged in the file to start from, are written anew; another view is refused."""
    published = tmp_path / "published"
    change(warehouse, *STAYS, view_of_a_day("2026-01-01"))
    first = publish(warehouse, published, "first")
    (published / first.name).chmod(0o644)
    with duckdb.connect(published / first.name) as connection:
        connection.execute("UPDATE stored.int_stays SET left_at = NULL WHERE deal_id = 'deal-7'")
    steps: list[str] = []
    second = publish(warehouse, published, "second", on_step=steps.append)
    assert steps.count("copy") == 2
    assert second.marts == first.marts

    def falsify(step: str) -> None:
        if step == "verify":
            with duckdb.connect(published / ".building-third.duckdb") as connection:
                connection.execute("CREATE OR REPLACE VIEW stays AS SELECT *, 1 AS lasted FROM stored.int_stays")

    with pytest.raises(PublishFailed, match="stays"):
        publish(warehouse, published, "third", on_step=falsify)


def test_marts_may_come_and_go_and_change_their_columns(warehouse: Path, tmp_path: Path) -> None:
    """Also where nobody changed the name of the definitions."""
    published = tmp_path / "published"
    publish(warehouse, published, "first")
    change(
        warehouse,
        "DROP TABLE marts.agents",
        "CREATE TABLE marts.stages AS SELECT 'won' AS stage",
        "ALTER TABLE marts.daily ALTER amount TYPE DOUBLE",
    )
    on_top = publish(warehouse, published, "second")
    whole = publish(warehouse, published, "third", whole=True)
    assert on_top.marts == whole.marts
    assert [mart.mart for mart in on_top.marts] == ["daily", "histories", "stages"]
    assert ask(published / on_top.name, "SELECT stage FROM stages") == [("won",)]
    assert ask(published / on_top.name, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'agents'") == [(0,)]


def test_other_definitions_start_from_nothing(warehouse: Path, tmp_path: Path) -> None:
    """Functions and columns are theirs."""
    published = tmp_path / "published"
    first = publish(warehouse, published, "first")
    change(warehouse, "UPDATE marts.daily SET amount = 1 WHERE snapshot_date > DATE '2025-01-20'")
    ordered = (
        "SELECT bool_and(here) FROM (SELECT part >= lag(part) OVER (ORDER BY place) IS NOT FALSE AS here FROM ("
        f"SELECT rowid AS place, epoch_us(snapshot_date) // ({PART_DAYS} * 86400000000) AS part FROM stored.daily))"
    )
    second = publish(warehouse, published, "second", definition_version="e" * 64)
    assert ask(published / second.name, ordered) == [(True,)]
    assert second.marts != first.marts
