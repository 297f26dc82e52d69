"""Readers of the published file: they follow the pointer, and never see two generations at once."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from api import published, summaries
from api.figures import Agent, Period, Window
from api.published import NothingPublished, PublishedMarts
from ingestion.publishing import publish_marts
from tests.support.published_file import ANNA, AS_OF, BEN, create_marts, publish_sample, read_contracts

PUBLISHES, READERS, READS_EACH = 100, 4, 2_500


def list_open_files(folder: Path) -> set[str]:
    """Names of the published files that this process holds open."""
    targets = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return {target.name for target in targets if target.parent == folder and target.suffix == ".duckdb"}


def write_generations(folder: Path) -> list[str]:
    """Write the files of all generations, each with its number in the manifest and in every row; return their names."""
    names = [publish_sample(folder, generation=1, log_size=1, days=2)]
    for number in range(2, PUBLISHES + 1):
        name = f"marts-{number:012d}-run{number}.duckdb"
        shutil.copyfile(folder / names[0], folder / name)
        with duckdb.connect(str(folder / name)) as connection:
            connection.execute(f"UPDATE manifest SET generation = {number}")
            connection.execute(f"UPDATE agent_performance_snapshots SET gross_pipeline_value = {number}")
        names.append(name)
    return names


def test_a_hundred_publishes_against_ten_thousand_reads(tmp_path: Path) -> None:
    """No read fails, none mixes two generations, and none of a reader's is older than the one before it."""
    # The files are written beforehand: what is tested is the flip, which is all that readers ever meet.
    names = write_generations(tmp_path)
    pointer = tmp_path / "CURRENT"
    pointer.write_text(names[0])
    marts = PublishedMarts(tmp_path)
    seen: list[list[int]] = [[] for _ in range(READERS)]
    errors: list[BaseException] = []
    done_reads = threading.Semaphore(0)

    def read_often(mine: list[int]) -> None:
        try:
            for number in range(READS_EACH):
                # Every other question is a new one: only such are put to the file itself.
                new = number if number % 2 else 0
                with marts.read() as view:
                    before = view.publication.generation
                    row = view.rows(
                        f"SELECT {new}, (SELECT generation FROM manifest) AS generation,"
                        " min(gross_pipeline_value) AS low, max(gross_pipeline_value) AS high"
                        " FROM agent_performance_snapshots"
                    )[0]
                    assert before == row["generation"] == row["low"] == row["high"]
                    mine.append(before)
                done_reads.release()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=read_often, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for name in names[1:]:
        for _ in range(READERS * READS_EACH // (PUBLISHES + 1)):
            done_reads.acquire(timeout=30)
        next_pointer = tmp_path / "CURRENT.next"
        next_pointer.write_text(name)
        next_pointer.replace(pointer)
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(len(mine) for mine in seen) == READERS * READS_EACH
    assert all(mine == sorted(mine) for mine in seen)
    found = {number for mine in seen for number in mine}
    assert len(found) > PUBLISHES / 2, "the reads did not meet the publishes"
    assert max(found) == PUBLISHES
    assert list_open_files(tmp_path) == {names[-1]}
    marts.close()
    assert list_open_files(tmp_path) == set()


def test_a_reader_keeps_its_generation_while_a_newer_one_is_published(tmp_path: Path) -> None:
    """An answer that began on one generation ends on it; the next answer is of the new one."""
    publish_sample(tmp_path, generation=1)
    marts = PublishedMarts(tmp_path)
    with marts.read() as early:
        with marts.read():
            publish_sample(tmp_path, generation=2, log_size=200)
            with marts.read() as late:
                assert late.publication.generation == 2
        assert early.rows("SELECT generation FROM manifest") == [{"generation": 1}]
    assert list_open_files(tmp_path) == {"marts-000000000200-run2.duckdb"}


def test_a_file_removed_before_it_is_opened_is_no_error(tmp_path: Path) -> None:
    """A publish that keeps few files removes one whose name a reader has just read: the reader takes the newer name."""
    newest = publish_sample(tmp_path, generation=2, log_size=200, days=2)
    opened = PublishedMarts(tmp_path)._open_newest("marts-000000000100-run1.duckdb")
    assert (opened.name, opened.publication.generation) == (newest, 2)
    opened.connection.close()


def test_a_question_put_again_has_the_same_answer_and_a_newer_file_its_own(tmp_path: Path) -> None:
    """Answers are kept for as long as their file is read, and whoever changes one changes it for nobody else."""
    publish_sample(tmp_path, generation=1, days=2)
    marts = PublishedMarts(tmp_path)
    question = "SELECT max(gross_pipeline_value) AS value FROM agent_performance_snapshots WHERE agent_id = ?"
    with marts.read() as view:
        first = view.rows(question, [ANNA])
        first[0]["value"] = None
        assert view.rows(question, [ANNA]) == [{"value": 1}]
        assert view.rows(question, ["nobody"]) == [{"value": None}]
        view._cursor.execute("SET threads = 1")
        view._cursor.close()
        assert view.rows(question, [ANNA]) == [{"value": 1}], "answered without asking the file"
    publish_sample(tmp_path, generation=2, log_size=200, days=2)
    with marts.read() as view:
        assert view.rows(question, [ANNA]) == [{"value": 2}]


def test_no_more_answers_are_kept_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least asked for are forgotten, and big ones are not kept at all."""
    monkeypatch.setattr(published, "KEPT_ROWS", 8)
    monkeypatch.setattr(published, "KEPT_ROWS_EACH", 3)
    publish_sample(tmp_path, days=2)
    with PublishedMarts(tmp_path).read() as view:
        for count in (1, 2, 3, 2, 4):
            assert len(view.rows(f"SELECT unnest(range({count})) AS number")) == count
        kept = [str(question[0]) for question in view._answers._kept]
    assert [question[question.index("range") :][:7] for question in kept] == ["range(3", "range(2"]


def test_rollback_is_followed(tmp_path: Path) -> None:
    """The pointer alone decides: where it is turned back, readers go back."""
    first = publish_sample(tmp_path, generation=1)
    publish_sample(tmp_path, generation=2, log_size=200)
    marts = PublishedMarts(tmp_path)
    with marts.read() as view:
        assert view.publication.generation == 2
    (tmp_path / "CURRENT").write_text(first)
    with marts.read() as view:
        assert view.publication.generation == 1


@pytest.mark.parametrize("pointer", [None, "", "missing.duckdb", "../elsewhere.duckdb"])
def test_nothing_published_says_what_to_do(tmp_path: Path, pointer: str | None) -> None:
    """No pointer, or one that names no file beside it, is the state before the first refresh."""
    if pointer is not None:
        (tmp_path / "CURRENT").write_text(pointer)
    with pytest.raises(NothingPublished), PublishedMarts(tmp_path).read():
        pass
    assert PublishedMarts(tmp_path).publication() is None
    assert "dealbook refresh" in NothingPublished.detail


def test_readers_can_not_write_or_leave_the_file(tmp_path: Path) -> None:
    """Whatever a query says, the file stays as published and no other file is read."""
    publish_sample(tmp_path)
    with PublishedMarts(tmp_path).read() as view:
        for statement in ("DELETE FROM deals", "CREATE TABLE mine (x INT)", "SELECT * FROM read_text('/etc/hostname')"):
            with pytest.raises(Exception, match=r"read-only|disabled"):
                view.rows(statement)


def test_times_are_aware_and_in_utc(tmp_path: Path) -> None:
    """Money and times keep their types on the way out of DuckDB."""
    published_at = datetime(2026, 5, 1, 3, 4, 5, 678901, tzinfo=UTC)
    publish_sample(tmp_path, published_at=published_at)
    publication = PublishedMarts(tmp_path).publication()
    assert publication is not None
    assert publication.published_at == published_at
    assert publication.published_at.tzinfo is UTC
    assert publication.is_stale(published_at + timedelta(hours=27), timedelta(hours=26))
    assert not publication.is_stale(published_at + timedelta(hours=25), timedelta(hours=26))


@pytest.mark.parametrize("period", Period)
def test_every_window_equals_the_deals_that_closed_in_it(tmp_path: Path, period: Period) -> None:
    """Differences of snapshots and a count of the deals themselves are two ways to the same number."""
    publish_sample(tmp_path)
    first = period.first_day(AS_OF)
    with PublishedMarts(tmp_path).read() as view:
        figures = summaries.measure_window(view, Agent(ANNA, "Anna Lim"), Window(AS_OF, first, period))
        row = view.rows(
            "SELECT count(*) AS won, sum(value_reporting) AS value, avg(cycle_days) AS average,"
            " median(cycle_days) AS median FROM deals WHERE credited_agent_id = ? AND (? IS NULL OR closed_date >= ?)",
            [ANNA, first, first],
        )[0]
    assert (figures.deals_closed_won, figures.won_value) == (row["won"], row["value"])
    assert figures.avg_cycle_days == pytest.approx(row["average"])
    assert figures.median_cycle_days == pytest.approx(row["median"])
    assert figures.conversion_rate == figures.conversion_numerator / figures.conversion_denominator


def test_rates_without_a_denominator_are_null(tmp_path: Path) -> None:
    """Ben has closed nothing: his rates are unknown, not zero."""
    publish_sample(tmp_path)
    with PublishedMarts(tmp_path).read() as view:
        figures = summaries.measure_window(view, Agent(BEN, "Ben Ong"), Window(AS_OF, AS_OF.replace(day=1)))
    rates = (figures.conversion_rate, figures.conversion_rate_value, figures.commission_yield, figures.avg_cycle_days)
    assert rates == (None, None, None, None)
    assert (figures.median_cycle_days, figures.avg_won_value, figures.revenue_per_open_day) == (None, None, None)
    assert (figures.deals_closed_won, figures.conversion_denominator) == (0, 0)


def test_what_the_real_publisher_writes_is_read(tmp_path: Path) -> None:
    """The manifest's columns are the publisher's business; readers must understand them."""
    warehouse, folder = tmp_path / "warehouse.duckdb", tmp_path / "published"
    with duckdb.connect(warehouse) as connection:
        connection.execute("CREATE SCHEMA marts; USE marts")
        create_marts(connection)
    publication = publish_marts(
        warehouse,
        folder,
        log_size=7,
        last_hash="ab" * 32,
        as_of_date=AS_OF,
        definition_version="d" * 64,
        business_timezone="Asia/Singapore",
        reporting_currency="SGD",
        dbt_invocation_id=None,
        dbt_version="1.11.16",
        run_id="first",
        reference_digest="e" * 64,
    )
    with PublishedMarts(folder).read() as view:
        assert (view.file_name, view.publication.log_size, view.publication.generation) == (publication.name, 7, 1)
        assert view.publication.published_at == publication.published_at
        assert {mart.mart for mart in view.list_marts()} == set(read_contracts())
        assert summaries.list_agents(view) == []
