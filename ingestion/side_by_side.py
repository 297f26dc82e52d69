"""Works on several tables at the same time, where each is too small for DuckDB to divide it.

DuckDB hands a statement to threads of its own. A small table is one piece of work: one thread has it while the one that
asked looks again and again whether it is done. Over some hundred statements that was a third of all processor time.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

import duckdb

AT_ONCE = 2
LARGE = 1_000_000
"""From so many rows on a table has the whole machine to itself, and all memory that DuckDB may take."""
POLL_SECONDS = 0.05

Item = TypeVar("Item")
Result = TypeVar("Result")


def use_one_thread_each(connection: duckdb.DuckDBPyConnection) -> None:
    """Have every statement done by the thread that asks for it, if no table of the current database is large.

    So it is for all who have the database open in this process, until `RESET threads`.
    """
    if not has_large_table(connection):
        connection.execute("SET threads = 1")


def side_by_side(
    connection: duckdb.DuckDBPyConnection,
    work: Callable[[duckdb.DuckDBPyConnection, Item], Result],
    items: Iterable[Item],
) -> list[Result]:
    """Do work on each item, and return the results in order; where a table is large, on one item after the other.

    What works at the same time has connections of its own to the same databases. An error, or Ctrl-C, stops the rest.
    """
    if has_large_table(connection):
        return [work(connection, item) for item in items]
    [(zone,)] = connection.execute("SELECT current_setting('TimeZone')").fetchall()
    cursors = [connection.cursor() for _ in range(AT_ONCE)]
    free: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for cursor in cursors:
        cursor.execute(f"SET TimeZone = '{zone}'")  # unlike the rest of the settings, a connection's own
        free.put(cursor)

    def work_alone(item: Item) -> Result:
        cursor = free.get()
        try:
            return work(cursor, item)
        finally:
            free.put(cursor)

    try:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            works = [threads.submit(work_alone, item) for item in items]
            try:
                return [one.result() for one in works]
            except BaseException:
                for one in works:
                    one.cancel()
                while wait(works, timeout=POLL_SECONDS).not_done:  # one may be between two statements just now
                    for cursor in cursors:
                        cursor.interrupt()
                raise
    finally:
        for cursor in cursors:
            cursor.close()


def has_large_table(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a table of the current database is so large that its statements are worth all processors."""
    query = f"FROM duckdb_tables() WHERE database_name = current_database() AND estimated_size >= {LARGE}"
    return bool(connection.execute(query).fetchall())
