"""marts -> published file: readers see the last good one or the new one, never anything else."""

import signal
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion import publishing
from ingestion.errors import PublicationMissing, PublishFailed
from ingestion.mart_digests import digest_mart
from ingestion.publishing import (
    Publication,
    current_publication,
    list_publications,
    publish_marts,
    rollback_publication,
)
from ingestion.warehouse import open_warehouse

STEPS = ("copy", "verify", "seal", "rename", "flip")
FACTS: dict[str, Any] = {
    "log_size": 41233,
    "last_hash": "ab" * 32,
    "as_of_date": date(2026, 8, 23),
    "definition_version": "cd" * 32,
    "business_timezone": "Asia/Singapore",
    "reporting_currency": "SGD",
    "dbt_invocation_id": "0198c0de",
    "dbt_version": "1.11.16",
    "reference_digest": "ef" * 32,
}
FACT_COLUMNS = [("as_of_date", "DATE"), ("log_size", "BIGINT"), ("definition_version", "VARCHAR")]
FACT_VALUES = tuple(FACTS[name] for name, _ in FACT_COLUMNS)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "it's a warehouse.duckdb"  # a quote in a path must not end the SQL
    with open_warehouse(path) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            """CREATE TABLE marts.deals AS SELECT * FROM (VALUES
                ('d2', 'Ann', 12.5::DECIMAL(16,2), TIMESTAMPTZ '2026-01-02 03:04:05.000006Z', '2026-01-02'::DATE, true),
                ('d1', NULL, NULL, NULL, NULL, NULL),
                ('d3', '', 0.00, TIMESTAMPTZ '2026-01-02 03:04:05Z', DATE '2026-01-03', false)
            ) t(deal_id, agent_name, value, opened_at, opened_date, is_open)"""
        )
        connection.execute("COMMENT ON TABLE marts.deals IS 'A row per deal; the agent''s too'")
        connection.execute("COMMENT ON COLUMN marts.deals.value IS 'Money'")
        connection.execute("CREATE TABLE marts.cycle_times (agent_id VARCHAR, avg_cycle_days DOUBLE)")
        connection.execute(
            "CREATE TABLE marts.numbers AS SELECT i::BIGINT AS i, i / 7 AS seventh FROM range(1000) r(i)"
        )
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tmp_path / "published"


def _publish(warehouse: Path, published: Path, run_id: str, **changed: Any) -> Publication:
    return publish_marts(warehouse, published, run_id=run_id, **(FACTS | changed))


def _change(warehouse: Path, statement: str) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute(statement)


def _ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = duckdb.connect(path, read_only=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_what_was_built_is_what_is_published(warehouse: Path, published: Path) -> None:
    publication = _publish(warehouse, published, "run-1")
    assert publication.name == "marts-000000041233-run-1.duckdb"
    assert (published / "CURRENT").read_text() == "marts-000000041233-run-1.duckdb\n"
    path = published / publication.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert _ask(path, "SELECT deal_id FROM deals") == [("d1",), ("d2",), ("d3",)]  # in order, whatever it was
    with open_warehouse(warehouse) as connection:
        for mart in ("deals", "cycle_times", "numbers"):
            built = connection.execute(f"SELECT * FROM marts.{mart} ORDER BY ALL").fetchall()
            types = [row[:2] for row in connection.execute(f"DESCRIBE marts.{mart}").fetchall()]
            facts = "as_of_date, log_size, definition_version"
            assert _ask(path, f"SELECT * EXCLUDE ({facts}) FROM {mart}") == built
            assert [row[:2] for row in _ask(path, f"DESCRIBE {mart}")] == [*types, *FACT_COLUMNS]
            assert _ask(path, f"SELECT DISTINCT {facts} FROM {mart}") == [FACT_VALUES] * bool(built)
    assert _ask(path, "SELECT comment FROM duckdb_views() WHERE view_name = 'deals'") == [
        ("A row per deal; the agent's too",)
    ]
    comments = "SELECT comment FROM duckdb_columns() WHERE schema_name = 'main' AND column_name = 'value'"
    assert _ask(path, comments) == [("Money",)]


def test_the_manifest_says_what_the_file_rests_on(warehouse: Path, published: Path) -> None:
    publication = _publish(warehouse, published, "run-1")
    path = published / publication.name
    [row] = _ask(
        path,
        "SELECT generation, log_size, log_last_hash, as_of_date, definition_version, business_timezone, "
        "reporting_currency, dbt_invocation_id, dbt_version, reference_digest, run_id, checkpoint FROM manifest",
    )
    expected = [FACTS["log_size"], FACTS["last_hash"], FACTS["as_of_date"], FACTS["definition_version"]]
    expected += [FACTS["business_timezone"], FACTS["reporting_currency"], FACTS["dbt_invocation_id"]]
    expected += [FACTS["dbt_version"], FACTS["reference_digest"], "run-1", None]
    assert row == (1, *expected)
    marts = _ask(path, "SELECT mart, row_count, digest FROM manifest_marts ORDER BY mart")
    assert [mart[:2] for mart in marts] == [("cycle_times", 0), ("deals", 3), ("numbers", 1000)]
    assert len({mart[2] for mart in marts}) == 3
    found = current_publication(published)
    assert found == publication
    assert [(mart.mart, mart.row_count, mart.digest) for mart in publication.marts] == marts
    assert publication.to_dict()["as_of_date"] == "2026-08-23"


def test_runs_are_told_of_beside_the_marts(warehouse: Path, published: Path, tmp_path: Path) -> None:
    """What they say depends on the clock, so publications that differ in them alone are still equal."""
    before = _publish(warehouse, published, "run-1")
    assert _ask(published / before.name, "SELECT count(*) FROM jobs_registry") == [(0,)]
    lines = [
        '{"event":"refresh.run_ended","run_id":"b","outcome":"failed","duration_seconds":1.5,"entries_landed":7,'
        '"rows_published":0,"publication":"","failed_checks":["unique"],"timestamp":"2026-11-22T10:00:02.500000Z"}',
        '{"event":"refresh.run_ended","run_id":"a","job":"hourly","outcome":"published","duration_seconds":2.25,'
        '"entries_landed":5,"deals_processed":3,"log_size":5,"as_of_date":"2026-11-22","rows_published":9,'
        '"publication":"marts-5-a.duckdb","failed_checks":[],"timestamp":"2026-11-22T09:00:00.000000Z"}',
        '{"event":"refresh.begun","run_id":"c"}',
        '{"event":"refresh.run_ended","run_id":"cut sh',
    ]
    records = tmp_path / "it's logs" / "refresh.jsonl"
    records.parent.mkdir()
    records.write_text("\n".join(lines))
    after = _publish(warehouse, published, "run-2", run_records=records)
    assert after.marts == before.marts
    columns = "run_id, job, started_at::VARCHAR, entries_read, deals_processed, rows_out, outcome, publication"
    connection = duckdb.connect(published / after.name, read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    assert connection.execute(f"SELECT {columns} FROM jobs_registry").fetchall() == [
        ("a", "hourly", "2026-11-22 08:59:57.75+00", 5, 3, 9, "published", "marts-5-a.duckdb"),
        ("b", None, "2026-11-22 10:00:01+00", 7, None, 0, "failed", None),
    ]
    connection.close()


def _digest(rows: str) -> str:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Singapore'")
    connection.execute(f"CREATE TABLE t AS {rows}")
    return digest_mart(connection, "main", "t").digest


def test_a_digest_sees_every_difference_and_no_order() -> None:
    base = "SELECT * FROM (VALUES ('a', 1.00::DECIMAL(38,2), DATE '2026-01-01'), ('b', NULL, NULL)) t(x, y, z)"
    same = "SELECT * FROM (VALUES ('b', NULL, NULL), ('a', 1.00::DECIMAL(38,2), DATE '2026-01-01')) t(x, y, z)"
    others = [
        base.replace("1.00", "1.01"),
        base.replace("38,2", "38,3"),
        base.replace("'a'", "''"),
        base.replace("'a'", "NULL"),
        base.replace("'b', NULL", "'b', 0"),
        base.replace("'b'", "'a'").replace("'a', 1", "'b', 1"),
        base.replace("t(x", "t(w"),
        base + " LIMIT 1",
        base + " UNION ALL " + base,
        base.replace("2026-01-01", "2026-01-02"),
    ]
    digests = [_digest(base), *(_digest(other) for other in others)]
    assert len(set(digests)) == len(digests)
    assert _digest(same) == _digest(base)


def test_a_digest_does_not_run_neighbouring_texts_together() -> None:
    assert _digest("SELECT * FROM (VALUES ('ab', 'c')) t(x, y)") != _digest(
        "SELECT * FROM (VALUES ('a', 'bc')) t(x, y)"
    )
    assert _digest("SELECT * FROM (VALUES ('ab'), ('c')) t(x)") != _digest("SELECT * FROM (VALUES ('a'), ('bc')) t(x)")


def test_a_digest_does_not_depend_on_how_rows_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches may end anywhere, and nulls may lie anywhere in them."""
    rows = """SELECT CASE WHEN i % 3 > 0 THEN 'row ' || i END AS x, CASE WHEN i % 5 > 0 THEN i END AS y,
        CASE WHEN i % 7 > 0 THEN i::DECIMAL(38,2) END AS z, [i] AS listed, i % 2 = 0 AS flag FROM range(10000) r(i)"""
    digest = _digest(rows)
    monkeypatch.setattr("ingestion.mart_digests.ROWS_PER_BATCH", 2048)
    assert _digest(rows) == digest


@pytest.mark.parametrize("step", STEPS)
def test_an_error_at_any_step_leaves_readers_where_they_were(warehouse: Path, published: Path, step: str) -> None:
    first = _publish(warehouse, published, "run-1")
    _change(warehouse, "DELETE FROM marts.deals")

    def fail(taken: str) -> None:
        if taken == step:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _publish(warehouse, published, "run-2", on_step=fail)
    assert current_publication(published) is not None
    assert (published / "CURRENT").read_text().strip() == first.name
    assert _ask(published / first.name, "SELECT count(*) FROM deals") == [(3,)]

    third = _publish(warehouse, published, "run-3")
    assert current_publication(published) == third
    assert _ask(published / third.name, "SELECT count(*) FROM deals") == [(0,)]
    assert not list(published.glob(".building*"))
    whole = {publication.name for publication in list_publications(published)}
    assert {path.name for path in published.glob("marts-*.duckdb")} == whole
    assert {path.stem for path in published.glob("marts-*.json")} == {Path(name).stem for name in whole}


@pytest.mark.parametrize("step", ["verify", "seal", "rename", "flip"])
def test_a_killed_publisher_leaves_readers_where_they_were(warehouse: Path, published: Path, step: str) -> None:
    first = _publish(warehouse, published, "run-1")
    program = """
import json, os, signal, sys
from pathlib import Path
from ingestion.publishing import publish_marts
warehouse, published, step, facts = sys.argv[1:]
def kill(taken):
    if taken == step:
        os.kill(os.getpid(), signal.SIGKILL)
publish_marts(Path(warehouse), Path(published), run_id="run-2", on_step=kill, **json.loads(facts))
"""
    facts = publishing.msgspec.json.encode(FACTS).decode()
    command = [sys.executable, "-c", program, str(warehouse), str(published), step, facts]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (published / "CURRENT").read_text().strip() == first.name
    third = _publish(warehouse, published, "run-3")
    assert current_publication(published) == third
    assert not list(published.glob(".building*"))


def test_a_copy_that_differs_is_not_published(
    warehouse: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses a row is found by reading the file back, before anybody else reads it."""
    first = _publish(warehouse, published, "run-1")
    building = published / ".building-run-2.duckdb"

    def lose_a_row(step: str) -> None:
        if step == "verify":
            connection = duckdb.connect(building)
            connection.execute("DELETE FROM stored.numbers WHERE i = 500")
            connection.close()

    with pytest.raises(PublishFailed, match="The copies of numbers differ"):
        _publish(warehouse, published, "run-2", on_step=lose_a_row)
    assert current_publication(published) == first
    assert [publication.name for publication in list_publications(published)] == [first.name]


def test_a_reader_of_an_old_file_is_not_disturbed(warehouse: Path, published: Path) -> None:
    """Not by newer files, not even by the sweep of its own."""
    first = _publish(warehouse, published, "run-1", keep=1)
    reader = duckdb.connect(published / first.name, read_only=True)
    _change(warehouse, "DELETE FROM marts.numbers")
    second = _publish(warehouse, published, "run-2", keep=1)
    assert not (published / first.name).exists()
    assert reader.execute("SELECT sum(i) FROM numbers").fetchall() == [(499500,)]
    reader.close()
    assert _ask(published / second.name, "SELECT count(*) FROM numbers") == [(0,)]


def test_the_newest_files_and_the_current_one_are_kept(warehouse: Path, published: Path) -> None:
    for number in range(1, 5):
        _publish(warehouse, published, f"run-{number}", keep=3)
    names = [publication.run_id for publication in list_publications(published)]
    assert names == ["run-4", "run-3", "run-2"]
    assert [publication.generation for publication in list_publications(published)] == [4, 3, 2]
    assert len(list(published.glob("marts-*"))) == 6


def test_a_rollback_holds_until_the_next_publish(warehouse: Path, published: Path) -> None:
    first = _publish(warehouse, published, "run-1")
    second = _publish(warehouse, published, "run-2")
    assert rollback_publication(published).name == first.name
    current = current_publication(published)
    assert current is not None
    assert (current.name, current.is_newest) == (first.name, False)  # a refresh sees that and publishes anew
    assert rollback_publication(published, second.name).is_newest
    rollback_publication(published, first.name)
    third = _publish(warehouse, published, "run-3", keep=1)
    assert current_publication(published) == third
    assert third.generation == 3
    actions = [
        line.split('"action":"')[1].split('"')[0] for line in (published / "history.jsonl").read_text().splitlines()
    ]
    assert actions == ["publish", "publish", "rollback", "rollback", "rollback", "publish"]


def test_a_rollback_to_nothing_says_so(warehouse: Path, published: Path) -> None:
    with pytest.raises(PublicationMissing, match="Nothing is published"):
        rollback_publication(published)
    _publish(warehouse, published, "run-1")
    with pytest.raises(PublicationMissing, match="publication before the current one"):
        rollback_publication(published)
    with pytest.raises(PublicationMissing, match="marts-x"):
        rollback_publication(published, "marts-x.duckdb")


def test_a_name_is_never_used_twice(warehouse: Path, published: Path) -> None:
    _publish(warehouse, published, "run-1")
    with pytest.raises(PublishFailed, match="exists already"):
        _publish(warehouse, published, "run-1")
    with pytest.raises(PublishFailed, match="run id"):
        _publish(warehouse, published, "../run")


def test_nothing_built_is_not_published(tmp_path: Path, published: Path) -> None:
    with pytest.raises(PublishFailed, match="no warehouse"):
        _publish(tmp_path / "missing.duckdb", published, "run-1")
    with open_warehouse(tmp_path / "empty.duckdb"):
        pass
    with pytest.raises(PublishFailed, match="no marts"):
        _publish(tmp_path / "empty.duckdb", published, "run-1")
    assert current_publication(published) is None
    assert list_publications(published) == []


def test_publishing_works_while_this_process_has_the_warehouse_open(warehouse: Path, published: Path) -> None:
    """As dbt may have, run in the same process just before; it has as many threads as before."""
    threads = "SELECT current_setting('threads')"
    connection = duckdb.connect(warehouse)
    try:
        before = connection.execute(threads).fetchall()
        assert _publish(warehouse, published, "run-1").generation == 1
        assert connection.execute(threads).fetchall() == before
    finally:
        connection.close()


def test_the_digest_of_a_publication_is_that_of_what_was_built(warehouse: Path, published: Path) -> None:
    """It is taken from the copy as it lies there; sorted anew, from either, it is the same."""
    with open_warehouse(warehouse) as connection:
        connection.execute(
            "CREATE TABLE marts.many AS SELECT hash(i) % 1000 AS x, 'row ' || i AS y, i / 3 AS z "
            "FROM range(300000) t(i)"
        )
    publication = _publish(warehouse, published, "run-1")
    with open_warehouse(warehouse) as connection:
        assert [digest_mart(connection, "marts", found.mart) for found in publication.marts] == publication.marts
    with duckdb.connect(published / publication.name, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert [digest_mart(connection, "main", found.mart) for found in publication.marts] == publication.marts


def test_a_copy_with_a_changed_value_is_not_published(warehouse: Path, published: Path) -> None:
    """Also where the number of rows is the same, and where two rows have exchanged a value."""
    for run, change in {
        "run-1": "UPDATE stored.numbers SET seventh = seventh + 1e-9 WHERE i = 5",
        "run-2": "UPDATE stored.numbers SET seventh = CASE i WHEN 1 THEN 2 / 7 ELSE 1 / 7 END WHERE i IN (1, 2)",
        "run-3": "UPDATE stored.deals SET agent_name = '' WHERE deal_id = 'd1'",
    }.items():

        def spoil(step: str, run: str = run, change: str = change) -> None:
            if step == "verify":
                with duckdb.connect(published / f".building-{run}.duckdb") as connection:
                    connection.execute(change)

        with pytest.raises(PublishFailed, match="differ"):
            _publish(warehouse, published, run, on_step=spoil)
        assert current_publication(published) is None
