"""Dagster's records in SQLite, written through connections that stay open.

Dagster's own classes open, commit and close a connection for every event, several times over, and build and compile
each statement anew because a new engine has never seen it. Each commit waits for the disk, and each close, when it is
the last one, folds the write-ahead log back into the file. A refresh has some four hundred events, so that recording
it took longer than much of what it records.

Here an engine stays for each file, with its connections and its compiled statements, and commits do not wait for the
disk: a power cut may take the last records, never the file's consistency. The files are the same, and other programs
may read and write them with Dagster's own classes.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._config import StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

RUNS_KEPT = 4
"""Of how many runs the events stay open at once: each has a file of its own, and a web server looks at many."""


class KeptEvents(SqliteEventLogStorage):
    """The event log: a file for each run and one, the index, for what is asked across runs."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return what `dagster.yaml` has to say: Dagster's folder, in which the files lie where Dagster puts them."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "KeptEvents":
        """Return the event log under the folder that `dagster.yaml` names."""
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine_of(self, shard: str) -> Engine:
        """Return the engine of a file; the one that was not asked for longest makes room."""
        if shard not in self._engines:
            self._engines[shard] = _open(self.conn_string_for_shard(shard))
            runs = [name for name in self._engines if name != INDEX_SHARD_NAME]
            for name in runs[:-RUNS_KEPT]:
                self._engines.pop(name).dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table. One that is there stays, and each check's result asks for one again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _close(self) -> None:
        while self._engines:
            self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        """Delete every run's events."""
        with self._db_lock:
            self._close()  # the files go
        super().wipe()

    def dispose(self) -> None:
        """Close every file."""
        super().dispose()
        with self._db_lock:
            self._close()


class KeptRuns(SqliteRunStorage):
    """The list of runs, in one file."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _open(conn_string)
        super().__init__(conn_string, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return what `dagster.yaml` has to say: Dagster's folder, in which the file lies where Dagster puts it."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "KeptRuns":
        """Return the list of runs under the folder that `dagster.yaml` names."""
        return cls.from_local(str(Path(config_value["home"]) / "history"), inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a transaction, committed at the end."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        super().dispose()
        self._engine.dispose()


def _open(address: str) -> Engine:
    # As many connections at once as are asked for, as Dagster's own classes have; they would wait for one otherwise.
    engine = create_engine(address, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _do_not_wait_for_disk)
    return engine


def _do_not_wait_for_disk(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
