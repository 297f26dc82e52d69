"""Files dropped into `inbox/` under DEALBOOK_HOME: taken in, then moved to `inbox/done` or `inbox/failed`.

    inbox/hubspot/deals.csv        a CRM export, through the shipped mapping of the folder's name
    inbox/ours/…, mapping.toml     the same, through a mapping of one's own that lies beside the files
    inbox/reference/rates.csv      a reference file

The files of an export belong together and are taken in together; reference files one by one. What may still be written
is left alone: until nothing of it has changed for `SETTLE_SECONDS`. Taking a file in twice adds nothing, so a process
that dies before it has moved the files loses nothing. Knows nothing of Dagster.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.settings import Settings

SETTLE_SECONDS = 10.0
REFERENCE, DONE, FAILED = "reference", "done", "failed"
OWN_MAPPING = "mapping.toml"
_BEING_WRITTEN = (".part", ".partial", ".tmp", ".crdownload", ".filepart")


class FilesNotTaken(Exception):  # noqa: N818 - errors are named as facts, like the ledger's
    """Files could not be taken in; the message says why, and where they and the reason lie now."""


@dataclass(frozen=True)
class Drop:
    """What is taken in together; `is_settled`: nobody is writing it any more."""

    folder: str
    files: tuple[Path, ...]
    is_settled: bool

    @property
    def is_reference(self) -> bool:
        """Whether these are reference files, not a CRM export."""
        return self.folder == REFERENCE


@dataclass(frozen=True)
class TakenIn:
    """What became of a drop: what the importer says in words and as data, and where the files lie now."""

    text: str
    report: dict[str, Any]
    moved_to: Path


def inbox_path(settings: Settings) -> Path:
    """Return where files are dropped."""
    return settings.home / "inbox"


def list_drops(settings: Settings, now: float | None = None) -> list[Drop]:
    """Return what there is to take in, by folder: an export with all its files, or one reference file."""
    now = time.time() if now is None else now
    drops = []
    for folder in sorted(_folders(inbox_path(settings))):
        if folder.name in (DONE, FAILED) or folder.name.startswith("."):
            continue
        entries = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != OWN_MAPPING]
        partial = [path for path in entries if path.name.startswith(".") or path.suffix in _BEING_WRITTEN]
        files = tuple(path for path in entries if path not in partial)
        if folder.name == REFERENCE:
            drops += [Drop(folder.name, (path,), _is_settled(path, now)) for path in files]
        elif files:
            drops.append(Drop(folder.name, files, not partial and all(_is_settled(path, now) for path in files)))
    return drops


def find_strays(settings: Settings) -> list[Path]:
    """Return files that lie in the inbox itself, where nothing says what they are."""
    inbox = inbox_path(settings)
    return [path for path in sorted(inbox.iterdir()) if path.is_file()] if inbox.is_dir() else []


def take_in(settings: Settings, drop: Drop, *, say: Callable[[str], None] = lambda _: None) -> TakenIn:
    """Import the files of a drop and move them to `inbox/done/<moment>-<folder>/` with a report beside them.

    Raises FilesNotTaken for files that cannot be read at all; they are then in `inbox/failed/<moment>-<folder>/` beside
    the reason. Rows that are rejected are no failure: the report counts them and says where they are.
    """
    from ingestion.errors import ReferenceFileUnread
    from ledger.errors import Invalid

    load = _load_reference if drop.is_reference else _import_export
    try:
        text, report = load(settings, drop, say)
    except (Invalid, ReferenceFileUnread) as fault:
        place = _move(settings, drop, FAILED)
        (place / "reason.txt").write_text(f"{fault}\n", encoding="utf-8")
        raise FilesNotTaken(
            f"{fault} The files and this reason are in {place}. Correct them and drop them into"
            f" {inbox_path(settings) / drop.folder} again."
        ) from fault
    place = _move(settings, drop, DONE)
    (place / "report.txt").write_text(f"{text}\n", encoding="utf-8")
    (place / "report.json").write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    return TakenIn(text, report, place)


def _load_reference(settings: Settings, drop: Drop, say: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    from ingestion.reference_files import load_reference_files_in_turn

    report = load_reference_files_in_turn(settings, list(drop.files), on_wait=say)
    return report.render(), report.to_dict()


def _import_export(settings: Settings, drop: Drop, say: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    from ingestion.crm_files import import_files
    from ledger.access import SYSTEM
    from ledger.store import Ledger

    own = inbox_path(settings) / drop.folder / OWN_MAPPING
    ledger = Ledger.open(settings=settings)
    try:
        report = import_files(
            ledger,
            SYSTEM,
            drop.files,
            own if own.exists() else drop.folder,
            rejects_dir=settings.rejects_dir,
            mapping_name=drop.folder,
            on_progress=lambda step, done, total: say(f"{step}: {done:,} of {total:,}") if total else None,
        )
    finally:
        ledger.close()
    return report.render(), report.to_dict()


def _move(settings: Settings, drop: Drop, where: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    place = inbox_path(settings) / where / f"{moment}-{drop.folder}"
    place.mkdir(parents=True)
    for path in drop.files:
        # What the sender has taken away meanwhile was taken in all the same.
        with contextlib.suppress(FileNotFoundError):
            shutil.move(path, place / path.name)
    return place


def _folders(inbox: Path) -> Iterator[Path]:
    return (path for path in inbox.iterdir() if path.is_dir()) if inbox.is_dir() else iter(())


def _is_settled(path: Path, now: float) -> bool:
    # The time of the last change of the file itself: unlike that of its content, nobody can set it to the past.
    try:
        return now - path.stat().st_ctime >= SETTLE_SECONDS
    except FileNotFoundError:
        return False
