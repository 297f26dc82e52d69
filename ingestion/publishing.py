"""Write, audit, publish: copies the marts into a new immutable file, proves the copy, then points readers at it.

In the folder of published files:

    CURRENT                      the name of the file that readers open; changed by one rename
    marts-<log size>-<run>.duckdb   a publication: every mart, `manifest`, `manifest_marts`, `jobs_registry`, and
                                 functions that give marts for past days; never changed, mode 0444
    marts-<log size>-<run>.json     its manifest again, for whoever must not open the DuckDB file to know what it is
    history.jsonl                every flip of the pointer: when, what, publish or rollback, by whom
    .building-<run>.duckdb       a copy being made; what a crash leaves of it is removed by the next publish

A file gets its final name only after its copy was proved, so every `marts-*.duckdb` is whole. Names are never used
twice: a second connection in one process to a replaced path would still see the old file. Whoever has an old file
open keeps reading it, also after it was swept.

A publication may start as a copy of the one before, in which what differs is replaced (`marts_copied`): byte by byte
what was proved and hashed when that one was published. What is written into it is proved row by row.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from filelock import FileLock, Timeout

from ingestion.dated_marts import DatedMarts, input_tables, write_functions
from ingestion.errors import PublicationMissing, PublishFailed
from ingestion.jobs_registry import write_jobs_registry
from ingestion.mart_digests import MartDigest, list_marts
from ingestion.marts_copied import (
    FILE,
    CopiedMart,
    Proof,
    copy_tables,
    digest_copied,
    find_differing,
    prove_copied,
    views_built,
    write_parts,
    write_views,
)
from ingestion.side_by_side import use_one_thread_each
from ingestion.warehouse import WAIT_SECONDS, open_warehouse

POINTER_NAME = "CURRENT"
HISTORY_NAME = "history.jsonl"
# Tables about the publication, which have no digest: what they say depends on when it was made.
MANIFEST_TABLES = ("manifest", "manifest_marts", "jobs_registry")
_NOT_IN_FILE = ("name", "marts", "file_sha256", "is_newest")
BUILDING_PREFIX = ".building-"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


@dataclass(frozen=True)
class Publication:
    """What a published file says about itself; `marts` holds the row count and digest of each mart."""

    name: str
    generation: int
    log_size: int
    log_last_hash: str | None
    as_of_date: date
    definition_version: str
    business_timezone: str
    reporting_currency: str
    dbt_invocation_id: str | None
    dbt_version: str | None
    run_id: str
    reference_digest: str
    published_at: datetime
    checkpoint: str | None = None
    marts: list[MartDigest] = field(default_factory=list)
    file_sha256: str | None = None
    """Of the whole file, in hex: whether it is still what was proved. Files of earlier versions have none."""
    is_newest: bool = True
    """Whether none is later; False on the current one after a rollback, so that the next refresh publishes anew."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


@dataclass(frozen=True)
class Flip:
    """A change of what readers see: when, `publish` or `rollback`, to which publication, and who asked."""

    at: datetime
    action: str
    to: str
    by: str | None = None


def publish_marts(
    warehouse_path: Path,
    published_dir: Path,
    *,
    log_size: int,
    last_hash: str | None,
    as_of_date: date | str,
    definition_version: str,
    business_timezone: str,
    reporting_currency: str,
    dbt_invocation_id: str | None,
    dbt_version: str | None,
    run_id: str,
    reference_digest: str,
    checkpoint: str | None = None,
    run_records: Path | None = None,
    dated_marts: DatedMarts | None = None,
    by: str | None = None,
    keep: int = 10,
    whole: bool = False,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Publication:
    """Publish schema `marts` of the warehouse and return the new publication, which readers then see.

    `run_records` is the file with a line of JSON per run so far, which becomes the table `jobs_registry`; `dated_marts`
    become functions for past days. The newest `keep` files stay for rollback. `whole` writes every row anew, instead of
    starting from the newest file of the same definitions. `on_step` hears each step's name before it is taken. An error
    at any step leaves readers on the file they had; raises PublishFailed when there is nothing to publish or the copy
    differs, WarehouseBusy when another process is writing.
    """
    if not _RUN_ID.match(run_id):
        raise PublishFailed(f"A run id of letters, digits, - and _ is needed to name the file, not {run_id!r}.")
    published_dir.mkdir(parents=True, exist_ok=True)
    with _folder_lock(published_dir):
        _remove_leftovers(published_dir)
        stem = f"marts-{log_size:012d}-{run_id}"
        final = published_dir / f"{stem}.duckdb"
        if final.exists():
            raise PublishFailed(f"{final} exists already; every publication needs a run id of its own.")
        publication = Publication(
            name=final.name,
            generation=max((other.generation for other in list_publications(published_dir)), default=0) + 1,
            log_size=log_size,
            log_last_hash=last_hash,
            as_of_date=date.fromisoformat(as_of_date) if isinstance(as_of_date, str) else as_of_date,
            definition_version=definition_version,
            business_timezone=business_timezone,
            reporting_currency=reporting_currency,
            dbt_invocation_id=dbt_invocation_id,
            dbt_version=dbt_version,
            run_id=run_id,
            reference_digest=reference_digest,
            published_at=datetime.now(UTC),
            checkpoint=checkpoint,
        )
        building = published_dir / f"{BUILDING_PREFIX}{run_id}.duckdb"
        publication = _copy_and_prove(
            warehouse_path,
            building,
            publication,
            None if whole else _newest_like(published_dir, publication),
            run_records,
            dated_marts,
            on_step,
        )
        on_step("seal")
        building.chmod(0o444)
        _sync(building)
        publication = replace(publication, file_sha256=_hash(building))
        _write(final.with_suffix(".json"), msgspec.json.encode(publication))
        on_step("rename")
        building.rename(final)
        _sync(published_dir)
        on_step("flip")
        _flip(published_dir, publication, "publish", by)
        on_step("sweep")
        _sweep(published_dir, keep)
        return publication


def current_publication(published_dir: Path) -> Publication | None:
    """Return the publication that readers see, or None when nothing is published yet."""
    name = _read_pointer(published_dir)
    return next((found for found in list_publications(published_dir) if found.name == name), None)


def list_publications(published_dir: Path) -> list[Publication]:
    """Return the publications in the folder, newest first."""
    found = [
        msgspec.json.decode(path.read_bytes(), type=Publication)
        for path in published_dir.glob("marts-*.json")
        if path.with_suffix(".duckdb").exists()
    ]
    found.sort(key=lambda publication: publication.generation, reverse=True)
    return [replace(publication, is_newest=place == 0) for place, publication in enumerate(found)]


def rollback_publication(published_dir: Path, name: str | None = None, *, by: str | None = None) -> Publication:
    """Point readers at an older publication, by default the one before the current, and return it.

    `by` is noted: who asked, in words for people.

    It stays current until the next refresh, which publishes anew because it is no longer the newest. Raises
    PublicationMissing.
    """
    if not published_dir.is_dir():
        raise PublicationMissing("Nothing is published yet: run `dealbook refresh`.")
    with _folder_lock(published_dir):
        publications = list_publications(published_dir)
        current = _read_pointer(published_dir)
        if name is None:
            generation = next((found.generation for found in publications if found.name == current), 0)
            target = next((found for found in publications if found.generation < generation), None)
        else:
            target = next((found for found in publications if found.name == name), None)
        if target is None:
            wanted = name or "a publication before the current one"
            raise PublicationMissing(f"There is no {wanted}; `dealbook publish list` shows what there is.")
        _flip(published_dir, target, "rollback", by)
        return target


def list_flips(published_dir: Path, limit: int) -> list[Flip]:
    """Return the last changes of what readers see, the newest first; a line that cannot be read is left out."""
    try:
        lines = (published_dir / HISTORY_NAME).read_bytes().splitlines()[-limit:]
    except FileNotFoundError:
        return []
    flips = []
    for line in reversed(lines):
        with suppress(msgspec.DecodeError):
            flips.append(msgspec.json.decode(line, type=Flip))
    return flips


# --- copy and proof ---------------------------------------------------------------------------------------------------


def _newest_like(published_dir: Path, publication: Publication) -> Publication | None:
    """Return the newest publication of the same definitions for a copy to start from, if its file's hash is known."""
    for found in list_publications(published_dir):
        if found.definition_version == publication.definition_version:
            return found if found.file_sha256 else None
    return None


def _copy_and_prove(
    warehouse_path: Path,
    building: Path,
    publication: Publication,
    start: Publication | None,
    run_records: Path | None,
    dated_marts: DatedMarts | None,
    on_step: Callable[[str], None],
) -> Publication:
    """Copy and verify, and return the publication with its digests.

    Where the file to start from is not what it was, or the copy differs, every row is written anew.
    """
    on_step("copy")
    try:
        copied, proofs = _copy(warehouse_path, building, publication, start, run_records, dated_marts)
        on_step("verify")
        _verify(building, copied, proofs)
    except (PublishFailed, duckdb.Error):
        if start is None:
            raise
        building.unlink(missing_ok=True)
        return _copy_and_prove(warehouse_path, building, publication, None, run_records, dated_marts, on_step)
    return copied


def _copy(
    warehouse_path: Path,
    building: Path,
    publication: Publication,
    start: Publication | None,
    run_records: Path | None,
    dated_marts: DatedMarts | None,
) -> tuple[Publication, list[Proof]]:
    """Make the file: marts, manifest, runs and functions; return the publication and what proves it."""
    if not warehouse_path.exists():
        raise PublishFailed(f"There is no warehouse at {warehouse_path}: run `dealbook refresh`.")
    with open_warehouse(warehouse_path) as warehouse:
        names = list_marts(warehouse, "marts")
        if not names:
            raise PublishFailed("The warehouse has no marts to publish: run `dealbook refresh`.")
        if start:
            shutil.copyfile(building.with_name(start.name), building)
            if _hash(building) != start.file_sha256:
                raise PublishFailed(f"{start.name} is no longer what was published.")
        # With no log to recover from: what a crash leaves is removed anyway, and the checkpoint below writes all.
        place = str(building).replace("'", "''")
        warehouse.execute(f"ATTACH '{place}' AS {FILE} (RECOVERY_MODE no_wal_writes)")
        try:
            use_one_thread_each(warehouse)
            views = views_built(warehouse)
            marts = [CopiedMart.of(warehouse, name, views) for name in names]
            inputs = input_tables(warehouse, dated_marts) if dated_marts else []
            stored = {table.place: table for mart in marts for table in mart.tables}
            tables = [*stored.values(), *inputs]
            parts = copy_tables(warehouse, tables)
            proofs = prove_copied(warehouse, marts, inputs, parts)
            rows = {proof.relation: sum(proof.rows.values()) for proof in proofs}
            publication = replace(publication, marts=[digest_copied(mart, parts, rows[mart.view]) for mart in marts])
            write_views(
                warehouse,
                marts,
                as_of_date=publication.as_of_date,
                log_size=publication.log_size,
                definition_version=publication.definition_version,
            )
            _write_manifest(warehouse, publication)
            write_parts(warehouse, tables, parts)
            write_jobs_registry(warehouse, f"{FILE}.main", run_records)
            if dated_marts:
                write_functions(warehouse, dated_marts)
            warehouse.execute(f"CHECKPOINT {FILE}")
        finally:
            warehouse.execute(f"DETACH {FILE}")
            warehouse.execute("RESET threads")
    return publication, proofs


def _write_manifest(warehouse: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    warehouse.execute(
        """CREATE OR REPLACE TABLE published.main.manifest (
            generation BIGINT, log_size BIGINT, log_last_hash VARCHAR, as_of_date DATE, definition_version VARCHAR,
            business_timezone VARCHAR, reporting_currency VARCHAR, dbt_invocation_id VARCHAR, dbt_version VARCHAR,
            run_id VARCHAR, reference_digest VARCHAR, published_at TIMESTAMPTZ, checkpoint VARCHAR)"""
    )
    row = {key: value for key, value in asdict(publication).items() if key not in _NOT_IN_FILE}
    warehouse.execute(
        f"INSERT INTO published.main.manifest ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
        list(row.values()),
    )
    warehouse.execute(
        "CREATE OR REPLACE TABLE published.main.manifest_marts (mart VARCHAR, row_count BIGINT, digest VARCHAR)"
    )
    places = ", ".join(["(?, ?, ?)"] * len(publication.marts))
    warehouse.execute(
        f"INSERT INTO published.main.manifest_marts VALUES {places}",  # noqa: S608 (question marks alone)
        [value for mart in publication.marts for value in (mart.mart, mart.row_count, mart.digest)],
    )


def _verify(path: Path, publication: Publication, proofs: list[Proof]) -> None:
    """Open the copy as a reader would and compare it with what was built."""
    with duckdb.connect(path, read_only=True) as connection:
        use_one_thread_each(connection)
        names = {mart.mart for mart in publication.marts}
        wrong = sorted(names.symmetric_difference(set(list_marts(connection, "main")) - set(MANIFEST_TABLES)))
        wrong = wrong or find_differing(connection, proofs)
    if wrong:
        raise PublishFailed(
            f"The copies of {', '.join(wrong)} differ from what was built; readers stay on the publication before. "
            "Check the disk, then run `dealbook refresh` again."
        )


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def _folder_lock(published_dir: Path) -> Iterator[None]:
    """One publisher at a time; the operating system releases the lock of a process that dies."""
    lock = FileLock(published_dir / ".lock", timeout=WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout as fault:
        raise PublishFailed("Another process is publishing; try again when it is done.") from fault
    try:
        yield
    finally:
        lock.release()


def _read_pointer(published_dir: Path) -> str | None:
    try:
        return (published_dir / POINTER_NAME).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def _flip(published_dir: Path, publication: Publication, action: str, by: str | None) -> None:
    """Point readers at a publication, then note it; the pointer is what counts, the note is for people."""
    before = _read_pointer(published_dir)
    pointer = published_dir / POINTER_NAME
    fresh = published_dir / f".{POINTER_NAME}.new"
    _write(fresh, publication.name.encode() + b"\n")
    fresh.replace(pointer)
    _sync(published_dir)
    note = {"at": datetime.now(UTC), "action": action, "from": before, "to": publication.name, "by": by}
    with (published_dir / HISTORY_NAME).open("ab") as history:
        history.write(msgspec.json.encode(note) + b"\n")


def _sweep(published_dir: Path, keep: int) -> None:
    """Remove all but the newest `keep`; the current one, published a moment ago, is the newest."""
    for publication in list_publications(published_dir)[max(keep, 1) :]:
        path = published_dir / publication.name
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)


def _remove_leftovers(published_dir: Path) -> None:
    """Remove what crashed publishes left: copies never finished, manifests whose file never came."""
    for path in [*published_dir.glob(f"{BUILDING_PREFIX}*"), *published_dir.glob(f".{POINTER_NAME}.new")]:
        path.unlink()
    for path in published_dir.glob("marts-*.json"):
        if not path.with_suffix(".duckdb").exists():
            path.unlink()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _sync(path)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
