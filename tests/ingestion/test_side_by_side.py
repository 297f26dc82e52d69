"""Work on several tables at the same time gives what one after the other gives, and stops as one."""

import time
from collections.abc import Iterator
from threading import Barrier, get_ident

import duckdb
import pytest

from ingestion import side_by_side as module
from ingestion.side_by_side import AT_ONCE, side_by_side, use_one_thread_each


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Singapore'; CREATE TABLE t AS SELECT i FROM range(1000) r(i)")
        yield connection


def test_results_come_in_order_from_connections_that_agree_on_the_time_zone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """A cursor begins with the zone of the machine, in which a moment may lie on another day."""
    together = Barrier(AT_ONCE)

    def ask(cursor: duckdb.DuckDBPyConnection, number: int) -> tuple[int, str]:
        together.wait(timeout=60)
        day = "(TIMESTAMPTZ '2026-01-01 20:00:00Z')::DATE::VARCHAR"
        [found] = cursor.execute(f"SELECT i, {day} FROM t WHERE i = {number}").fetchall()
        return found[0], found[1]

    numbers = range(10 * AT_ONCE)
    assert side_by_side(connection, ask, numbers) == [(number, "2026-01-02") for number in numbers]


def test_an_error_stops_what_is_at_work_and_what_is_still_to_come(connection: duckdb.DuckDBPyConnection) -> None:
    together, begun = Barrier(AT_ONCE), []

    def work(cursor: duckdb.DuckDBPyConnection, number: int) -> None:
        begun.append(number)
        if number < AT_ONCE:
            together.wait(timeout=60)
        if number == 0:
            time.sleep(0.2)  # the other one is in the middle of its statement
            raise OSError("disk full")
        cursor.execute("SELECT sum(a.i * b.i % 7) FROM range(10000000) a(i), range(10000000) b(i)")  # takes days

    with pytest.raises(OSError, match="disk full"):
        side_by_side(connection, work, range(100))
    assert len(begun) < 100
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(1000,)]


def test_a_large_table_has_the_machine_to_itself(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)
    connection.execute("SET threads = 3")
    use_one_thread_each(connection)
    assert connection.execute("SELECT current_setting('threads')").fetchall() == [(3,)]
    assert (
        side_by_side(connection, lambda same, _: (same is connection, get_ident()), "ab") == [(True, get_ident())] * 2
    )
    monkeypatch.setattr(module, "LARGE", 1001)
    use_one_thread_each(connection)
    assert connection.execute("SELECT current_setting('threads')").fetchall() == [(1,)]
