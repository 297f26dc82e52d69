"""`dealbook replay`: builds the marts again as they were known at an earlier size of the log, and compares.

In a temporary folder, from the log alone: nothing of the installation is written, so it may run while everything else
does. What the numbers rest on comes from where it was when they were published: entries below the log size, the
publication's day, time zone and currency, the reference files that it names. Data tests are left out: they said then
whether the numbers might be published, and say nothing about whether they are the same.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from ingestion.errors import ReplayNotPossible
from ingestion.log_position import entry_hash, entry_time, log_size
from ingestion.mart_digests import MartDigest, list_marts
from ingestion.marts_copied import digest_built
from ingestion.publishing import Publication, list_publications
from ingestion.remembered_files import RememberedFile, copy_remembered_files, digest_of_files, remembered_files
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.definition_version import definition_version

Outcome = Literal["equal", "different", "not_compared"]
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ReplayReport:
    """The marts as they were known, and whether they are those that were published then.

    `publication` is the one compared with, None where nothing comparable was kept; `differing` names its marts that are
    not the same now; `notes` are sentences about what the comparison rests on.
    """

    outcome: Outcome
    log_size: int
    as_of_date: date
    definition_version: str
    marts: tuple[MartDigest, ...]
    reference_files: tuple[str, ...]
    publication: str | None = None
    differing: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {**asdict(self), "as_of_date": self.as_of_date.isoformat()}

    def render(self) -> str:
        """Return it as lines of text for people."""
        width = max((len(mart.mart) for mart in self.marts), default=0)
        lines = [f"As known at log size {self.log_size:,}, as of {self.as_of_date}:"]
        for mart in self.marts:
            mark = "  DIFFERS" if mart.mart in self.differing else ""
            lines.append(f"  {mart.mart:<{width}}  {mart.row_count:>12,} rows  {mart.digest}{mark}")
        files = ", ".join(self.reference_files) or "none"
        lines.append(f"Reference files known then: {files}.")
        lines += self.notes
        if self.outcome == "equal":
            lines.append(f"Equal to what was published in {self.publication}.")
        elif self.outcome == "different":
            what = ", ".join(self.differing) or "the log itself"
            lines.append(f"NOT what was published in {self.publication}: {what}.")
        else:
            lines.append("Not compared: no publication that is kept has this log size, day and definitions.")
        return "\n".join(lines)


def replay(
    settings: Settings, size: int, *, as_of: date | None = None, on_progress: OnProgress | None = None
) -> ReplayReport:
    """Build the marts from the first `size` entries of the log and return their digests, compared with those published.

    `as_of` is the day asked about, by default that of the newest publication with this log size. Raises
    ReplayNotPossible where the log never had this size or no day is known, LogBroken where the log is not whole.
    """
    say = on_progress or (lambda _step, _done, _total: None)
    version = definition_version(settings.dbt_project_dir)
    same_size = [found for found in list_publications(settings.published_dir) if found.log_size == size]
    if as_of is None:
        if not same_size:
            raise ReplayNotPossible(
                f"No publication with log size {size} is kept, so the day asked about must be given: --as-of "
                "YYYY-MM-DD. `dealbook publish list` shows the log sizes that were published."
            )
        as_of = same_size[0].as_of_date
    same_day = [found for found in same_size if found.as_of_date == as_of]
    published = next((found for found in same_day if found.definition_version == version), None)
    like = published or next(iter(same_day or same_size), None)
    notes = []
    if published is None and same_day:
        notes.append(f"{same_day[0].name} was built by other definitions (the dbt project has changed since).")
    ledger = Ledger.open(settings=settings)
    try:
        _check_reached(ledger, size)
        files, about_files = _files_known(settings, ledger, size, like)
        notes += about_files
        last_hash = entry_hash(ledger, size - 1) if size else None
        with _elsewhere(settings, like) as place:
            copy_remembered_files(_memory(settings), files, place.warehouse_path.parent / "reference")
            marts = _build(place, ledger, size, as_of, version, say)
    finally:
        ledger.close()
    differing: tuple[str, ...] = ()
    is_same_log = True
    if published:
        is_same_log = published.log_last_hash == last_hash
        if not is_same_log:
            notes.append(
                f"The log is not the one it was published from: entry {size - 1:,} had another hash then. Run "
                "`dealbook audit verify`."
            )
        differing = _differing(published.marts, marts)
    outcome: Outcome = "not_compared" if published is None else "different" if differing or not is_same_log else "equal"
    return ReplayReport(
        outcome=outcome,
        log_size=size,
        as_of_date=as_of,
        definition_version=version,
        marts=tuple(marts),
        reference_files=tuple(file.name for file in files),
        publication=published.name if published else None,
        differing=differing,
        notes=tuple(notes),
    )


class _SettingsElsewhere(Settings):
    """The same settings with another home; the dbt project stays where it is."""

    project: Path

    @property
    def dbt_project_dir(self) -> Path:
        return self.project


@contextmanager
def _elsewhere(settings: Settings, like: Publication | None) -> Iterator[Settings]:
    """Yield settings for a temporary home, with the time zone and the currency of a publication; then remove it."""
    facts = {"business_timezone": like.business_timezone, "reporting_currency": like.reporting_currency} if like else {}
    with tempfile.TemporaryDirectory(prefix="dealbook-replay-", ignore_cleanup_errors=True) as folder:
        given = {name: getattr(settings, name) for name in Settings.model_fields}
        yield _SettingsElsewhere(**{**given, **facts, "home": Path(folder)}, project=settings.dbt_project_dir)


def _memory(settings: Settings) -> Path:
    return settings.warehouse_path.parent / "reference"


def _check_reached(ledger: Ledger, size: int) -> None:
    reached = log_size(ledger)
    if not 0 <= size <= reached:
        raise ReplayNotPossible(
            f"The log has {reached} entries; it has not been {size} long. Give --log-size up to that."
        )


def _files_known(
    settings: Settings, ledger: Ledger, size: int, like: Publication | None
) -> tuple[Sequence[RememberedFile], list[str]]:
    """Return the reference files known then, and sentences where that is a guess.

    A publication names its files by a digest over all that were loaded, in order: the remembered files up to some one
    of them give it. Without a publication they are the ones loaded before the log grew beyond the size.
    """
    files = remembered_files(_memory(settings))
    notes = []
    if like is not None:
        for count in range(len(files), -1, -1):
            if digest_of_files(file.sha256 for file in files[:count]) == like.reference_digest:
                return files[:count], []
        moment = like.published_at
        notes.append(
            f"The reference files of {like.name} are not all remembered; taken are those loaded before it was made."
        )
    else:
        after = entry_time(ledger, size)
        if after is None:
            return files, []
        moment = after
    return [file for file in files if file.loaded_when <= moment], notes


def _build(place: Settings, ledger: Ledger, size: int, as_of: date, version: str, say: OnProgress) -> list[MartDigest]:
    """Land, build and digest in a home of its own."""
    from ingestion.landing import land_new_entries
    from ingestion.warehouse import open_warehouse
    from orchestration.dbt_in_process import DbtFailed, load_manifest, run_dbt

    land_new_entries(
        ledger,
        place.warehouse_path,
        batch_size=place.ingest_batch_size,
        rejects_dir=place.rejects_dir,
        up_to=size,
        on_progress=lambda done, total: say("Landing log entries", done, total),
    )
    say("Building models", 0, 0)
    command = ["build", "--no-write-json", "--resource-type", "model", "--resource-type", "seed"]
    variables = {
        "log_size": size,
        "as_of_date": as_of.isoformat(),
        "business_timezone": place.business_timezone,
        "reporting_currency": place.reporting_currency,
        "definition_version": version,
    }
    try:
        run = run_dbt(place, command, manifest=load_manifest(place), variables=variables)
    except DbtFailed as failure:
        raise ReplayNotPossible(f"{failure} Mend the dbt project, then replay again.") from failure
    if run.failures:
        raise ReplayNotPossible("The marts could not be built: " + "; ".join(map(str, run.failures)))
    with open_warehouse(place.warehouse_path) as warehouse:
        marts = list_marts(warehouse, "marts")
        digests = []
        for done, mart in enumerate(marts):
            say("Computing digests", done, len(marts))
            digests.append(digest_built(warehouse, mart))
    return digests


def _differing(published: Sequence[MartDigest], replayed: Sequence[MartDigest]) -> tuple[str, ...]:
    """Return the names of marts that are not the same in both, or are in one alone."""
    before, now = ({mart.mart: mart for mart in marts} for marts in (published, replayed))
    return tuple(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))
