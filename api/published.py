"""The published file: the one place of the API that knows DuckDB.

`published/CURRENT` names an immutable file; a publish writes a new file and flips that name by a rename.
`PublishedMarts` reads the name before every question, opens a new file when it changed, and closes the old one when its
last reader has left. A reader therefore sees one generation from beginning to end, never waits for a refresh, and never
sees an older one after a newer one unless somebody rolled back.

The questions themselves stand in `api/summaries.py`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import duckdb

POINTER_NAME = "CURRENT"
# Some tens of MB at most: a row has up to 40 columns.
KEPT_ROWS, KEPT_ROWS_EACH = 20_000, 400
# Opened files only read themselves: no extension is fetched, no other file is touched, whatever a query says.
_READER_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}

Row = TypeVar("Row")


class NothingPublished(Exception):  # noqa: N818 - a fact, named as the ledger names its own
    """No refresh has published yet, or its file is gone."""

    code = "nothing-published"
    detail = "Nothing published yet: run `dealbook refresh`."


class PublishedByAnotherVersion(NothingPublished):
    """The published file lacks what this version asks for: it was made before an upgrade, or after a downgrade."""

    detail = "The published numbers were made by another version of dealbook: run `dealbook refresh`."


@dataclass(frozen=True, slots=True)
class Publication:
    """What the manifest of a published file says about it: how much of the log, for which day, by which definitions."""

    generation: int
    log_size: int
    log_last_hash: str | None
    as_of_date: date
    definition_version: str
    business_timezone: str
    reporting_currency: str
    dbt_invocation_id: str | None
    dbt_version: str | None
    published_at: datetime
    checkpoint: str | None

    def is_stale(self, now: datetime, stale_after: timedelta) -> bool:
        """Whether these numbers are older than their schedule allows."""
        return now - self.published_at > stale_after


@dataclass(frozen=True, slots=True)
class PublishedMart:
    """One mart of the published file, with the digest of its rows."""

    mart: str
    row_count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows of a list: `limit` of them after the first `offset`; all of them unless said otherwise."""

    offset: int = 0
    limit: int | None = None

    @property
    def sql(self) -> str:
        """The end of a query that reads these rows alone."""
        return f" LIMIT {self.limit:d} OFFSET {self.offset:d}" if self.limit is not None else ""


EVERYTHING = Span()


def columns_of(row_type: type[Any], prefix: str = "") -> str:
    """Return the SELECT list that reads the fields of the dataclass `row_type` from columns of the same names."""
    return ", ".join(f"{prefix}{column.name}{cast_to(column.type)} AS {column.name}" for column in fields(row_type))


def cast_to(field_type: Any) -> str:
    """Return the cast that makes a mart's column what the field holds: amounts in cents, rates as doubles."""
    # A mart divides in double precision; an amount is shown in cents all the same.
    if float in (field_type, *get_args(field_type)):
        return "::DOUBLE"
    return "::DECIMAL(38,2)" if Decimal in (field_type, *get_args(field_type)) else ""


class _Answers:
    """Answers of one file that were given before, the least asked for forgotten first; safe to share among threads.

    A published file never changes, so a question put again has the same answer. Small answers are kept alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], _Answer] = OrderedDict()
        self._rows = 0

    def find(self, question: tuple[object, ...]) -> "_Answer | None":
        with self._lock:
            answer = self._kept.get(question)
            if answer is not None:
                self._kept.move_to_end(question)
            return answer

    def keep(self, question: tuple[object, ...], answer: "_Answer") -> None:
        if len(answer.rows) > KEPT_ROWS_EACH:
            return
        with self._lock:
            if question not in self._kept:
                self._kept[question] = answer
                self._rows += answer.size
            while self._rows > KEPT_ROWS:
                _, oldest = self._kept.popitem(last=False)
                self._rows -= oldest.size


@dataclass(frozen=True, slots=True)
class _Answer:
    names: list[str]
    rows: list[tuple[Any, ...]]

    @property
    def size(self) -> int:
        return len(self.rows) + 1


class Marts:
    """A reader's view of one generation; use it in one thread at a time, inside `PublishedMarts.read()`."""

    def __init__(
        self,
        publication: Publication,
        file_name: str,
        open_cursor: Callable[[], duckdb.DuckDBPyConnection],
        answers: _Answers,
    ) -> None:
        self.publication = publication
        self.file_name = file_name
        self._open_cursor = open_cursor
        self._cursor: duckdb.DuckDBPyConnection | None = None  # most questions were asked before and need none
        self._answers = answers

    def close(self) -> None:
        """Let go of what was opened for the view."""
        if self._cursor is not None:
            self._cursor.close()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run one query of this file's tables alone; times come back aware and in UTC, money as Decimal."""
        question = (sql, *parameters)
        answer = self._answers.find(question)
        if answer is None:
            try:
                self._cursor = self._cursor or self._open_cursor()
                result = self._cursor.execute(sql, parameters)
            except (duckdb.BinderException, duckdb.CatalogException) as error:
                raise PublishedByAnotherVersion from error
            names = [column[0] for column in result.description or []]
            answer = _Answer(names, [tuple(map(_in_utc, values)) for values in result.fetchall()])
            self._answers.keep(question, answer)
        return [dict(zip(answer.names, values, strict=True)) for values in answer.rows]

    def rows_as(self, row_type: type[Row], sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one query whose columns are the fields of the dataclass `row_type`."""
        return [row_type(**row) for row in self.rows(sql, parameters)]

    def once(self, question: tuple[object, ...], write: Callable[[], bytes]) -> bytes:
        """Return what was written in answer to a question about this file; `write` it where nobody asked before."""
        answer = self._answers.find(question)
        if answer is None:
            answer = _Answer([], [(write(),)])
            self._answers.keep(question, answer)
        written: bytes = answer.rows[0][0]
        return written

    def of_day(self, mart: str, day: date | None) -> str:
        """Return what to read a mart from: its table for the published day (or None), its function for a day before."""
        if day is None or day >= self.publication.as_of_date:
            return mart
        return f"{mart}_as_of(DATE '{day.isoformat()}')"

    def list_marts(self) -> list[PublishedMart]:
        """Return every mart of this file with its row count and digest."""
        return self.rows_as(PublishedMart, "SELECT mart, row_count, digest FROM manifest_marts ORDER BY mart")


@dataclass(slots=True)
class _OpenFile:
    name: str
    connection: duckdb.DuckDBPyConnection
    publication: Publication
    answers: _Answers = field(default_factory=_Answers)
    readers: int = field(default=0)
    is_retired: bool = field(default=False)


class PublishedMarts:
    """Hands out views of the file that the pointer names now; safe to share among threads."""

    def __init__(self, published_dir: Path) -> None:
        self._dir = published_dir
        self._lock = threading.Lock()
        self._current: _OpenFile | None = None

    @contextmanager
    def read(self) -> Iterator[Marts]:
        """Yield a view of the current generation; raise `NothingPublished` when there is none."""
        opened = self._enter()
        marts = Marts(opened.publication, opened.name, partial(self._open_cursor, opened), opened.answers)
        try:
            yield marts
        finally:
            marts.close()
            self._leave(opened)

    def is_newest_open(self) -> bool:
        """Whether the file that the pointer names is open, so that a reader waits for nothing."""
        opened = self._current
        return opened is not None and opened.name == self._read_pointer()

    def publication(self) -> Publication | None:
        """Return what is published now, or None."""
        try:
            with self.read() as marts:
                return marts.publication
        except NothingPublished:
            return None

    def close(self) -> None:
        """Let go of the open file, once its readers have left."""
        with self._lock:
            self._retire_current()

    def _enter(self) -> _OpenFile:
        # The pointer is read under the lock: a thread that read it before a flip cannot bring the old file back.
        with self._lock:
            name = self._read_pointer()
            if self._current is None or self._current.name != name:
                opened = self._open_newest(name)
                self._retire_current()
                self._current = opened
            self._current.readers += 1
            return self._current

    def _open_cursor(self, opened: _OpenFile) -> duckdb.DuckDBPyConnection:
        with self._lock:  # a connection is for one thread at a time
            return opened.connection.cursor()

    def _open_newest(self, name: str) -> _OpenFile:
        # A publish that keeps few files may remove one whose name was read a moment ago: there is a newer name by then.
        while True:
            try:
                return self._open(name)
            except NothingPublished:
                missing, name = name, self._read_pointer()
                if name == missing:
                    raise

    def _leave(self, opened: _OpenFile) -> None:
        with self._lock:
            opened.readers -= 1
            if opened.is_retired and opened.readers == 0:
                opened.connection.close()

    def _retire_current(self) -> None:
        if self._current is not None:
            self._current.is_retired = True
            if self._current.readers == 0:
                self._current.connection.close()
            self._current = None

    def _read_pointer(self) -> str:
        try:
            name = (self._dir / POINTER_NAME).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise NothingPublished from None
        if not name or Path(name).name != name:
            raise NothingPublished
        return name

    def _open(self, name: str) -> _OpenFile:
        path = self._dir / name
        try:
            connection = duckdb.connect(str(path), read_only=True, config=_READER_CONFIG)
        except duckdb.IOException:
            if path.is_file():
                raise
            raise NothingPublished from None
        try:
            connection.execute("SET TimeZone = 'UTC'")
            return _OpenFile(name, connection, _read_manifest(connection))
        except BaseException:
            connection.close()
            raise


def _read_manifest(connection: duckdb.DuckDBPyConnection) -> Publication:
    columns = list(Publication.__dataclass_fields__)
    row = connection.execute(f"SELECT {', '.join(columns)} FROM manifest").fetchone()  # noqa: S608 - our own names
    if row is None:
        raise NothingPublished
    return Publication(**{name: _in_utc(value) for name, value in zip(columns, row, strict=True)})


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value
