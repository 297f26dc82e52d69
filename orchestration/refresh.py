"""`dealbook refresh`: the Dagster job `hourly` in this process, recorded where the Dagster UI shows it.

With nothing new it answers before Dagster or dbt is imported: their imports take seconds, the answer does not.
"""

import contextlib
import gc
import getpass
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

import duckdb
from sqlalchemy.exc import DBAPIError

from ingestion.errors import IngestionError
from ingestion.refresh_lock import hold_refresh_lock
from ledger.settings import Settings
from orchestration.advice import DbtFailed, advise
from orchestration.failed_checks import FailedCheck
from orchestration.freshness import News, find_news
from orchestration.run_records import STARTED_BY_TAG, log_event, records_path

if TYPE_CHECKING:
    from dagster import DagsterEvent
    from dagster_shared.error import SerializableErrorInfo

    from ingestion.publishing import Publication

_INTERRUPTIONS = ("KeyboardInterrupt", "DagsterExecutionInterruptedError")
Outcome = Literal["nothing_new", "published", "failed"]
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh did. `publication` is what readers see now, `seconds` the wall time by step."""

    outcome: Outcome
    log_size: int
    as_of_date: date
    entries_landed: int = 0
    publication: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    failed_checks: tuple[FailedCheck, ...] = ()
    error: str | None = None
    run_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {**asdict(self), "as_of_date": self.as_of_date.isoformat()}

    def render(self) -> str:
        """Return it as lines of text for people."""
        readers = f"Readers see {self.publication}." if self.publication else "Nothing is published yet."
        if self.outcome == "nothing_new":
            return f"Nothing new since entry {self.log_size:,} (as of {self.as_of_date}). {readers}"
        if self.outcome == "published":
            steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
            return (
                f"Published {self.publication}: {self.entries_landed:,} new entries, log size {self.log_size:,}, "
                f"as of {self.as_of_date} ({steps})"
            )
        lines = [f"Not published: the last good file stays. {readers}"]
        lines += [f"  {check.render()}" for check in self.failed_checks]
        if self.error and not self.failed_checks:
            lines.append(f"  {self.error}")
        return "\n".join(lines)


def refresh(
    settings: Settings,
    *,
    full: bool = False,
    as_of: date | None = None,
    started_by: str | None = None,
    on_progress: OnProgress | None = None,
) -> RefreshReport:
    """Bring the published marts up to the end of the log and return what was done; waits for a refresh under way.

    `as_of` is the day asked about, today in the business time zone unless given. `full` lands the log again from its
    beginning and rebuilds everything. `started_by` says for people who asked,
    this command line unless given. `on_progress(step, done, total)` is called as it goes; a total of 0 is unknown.
    A failed check is an outcome, not an error; an error is raised only where nothing could be tried. Ctrl-C leaves as
    KeyboardInterrupt, with readers where they were.
    """
    say = on_progress or _keep_quiet
    started = time.monotonic()
    waits: list[str] = []

    def wait(message: str) -> None:
        waits.append(message)
        say(message, 0, 0)

    with _in_words(), hold_refresh_lock(settings, on_wait=wait):
        day = as_of or datetime.now(settings.time_zone).date()
        news = find_news(settings, day)
        if not news.reasons and not full:
            if waits:  # asked for while another was running: both are told of
                _log_answered(settings, news, day, time.monotonic() - started, started_by or command_line_user())
            return RefreshReport(
                outcome="nothing_new",
                log_size=news.inputs.log_size,
                as_of_date=day,
                publication=_name(news.publication),
                seconds={"total": time.monotonic() - started},
            )
        say("Loading Dagster and dbt", 0, 0)
        return _run_job(settings, news, day, full, say, started, started_by or command_line_user())


def _log_answered(settings: Settings, news: News, day: date, seconds: float, started_by: str) -> None:
    """Leave the line of a refresh that waited for another and then had nothing to do."""
    log_event(
        records_path(settings),
        "refresh.run_ended",
        run_id=None,
        job="hourly",
        started_by=started_by,
        outcome="nothing_new",
        duration_seconds=round(seconds, 3),
        entries_landed=0,
        deals_processed=0,
        log_size=news.inputs.log_size,
        as_of_date=day.isoformat(),
        rows_published=0,
        publication="",
        failed_checks=[],
    )


def command_line_user() -> str:
    """Return who works at this command line, in words for people."""
    try:
        return f"{getpass.getuser()}, command line"
    except (KeyError, OSError):  # a user id without a name, as in a container
        return "command line"


def dbt_variables(settings: Settings, as_of: date | None = None) -> dict[str, Any]:
    """Return the variables with which a refresh of now would run dbt."""
    day = as_of or datetime.now(settings.time_zone).date()
    variables = asdict(find_news(settings, day).inputs)
    del variables["references"]
    return variables


def _run_job(
    settings: Settings, news: News, day: date, full: bool, say: OnProgress, started: float, started_by: str
) -> RefreshReport:
    """Run the whole chain in this process."""
    with _importing():
        from orchestration.definitions import build_definitions
        from orchestration.instance import open_instance
        from orchestration.resources import Tally, build_refresh_run_resource

    tally = Tally(on_progress=say)
    resource = build_refresh_run_resource(settings, tally)
    try:
        job = build_definitions(settings, refresh_run=resource).resolve_job_def("hourly")
    except DbtFailed as failure:  # the project cannot be read, so there is no graph to run
        return RefreshReport(
            outcome="failed",
            log_size=news.inputs.log_size,
            as_of_date=day,
            publication=_name(news.publication),
            seconds={"total": time.monotonic() - started},
            error=advise(failure),
        )
    loaded = time.monotonic()
    run_config = {
        "resources": {"refresh_run": {"config": {"full": full, "verify_all": full, "as_of_date": day.isoformat()}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    with open_instance(settings) as instance:
        result = job.execute_in_process(
            run_config=run_config,
            instance=instance,
            raise_on_error=False,
            tags={STARTED_BY_TAG: started_by},
        )
    events = [event for event in result.all_events if event.is_failure]
    failures = [error for event in events if (error := _innermost(event))]
    if any(error.cls_name in _INTERRUPTIONS for error in failures):
        raise KeyboardInterrupt  # Dagster notes it as a failure of the run; the caller wanted everything to stop
    ended = time.monotonic()
    return RefreshReport(
        outcome="published" if tally.publication else "failed",
        log_size=tally.log_size or news.inputs.log_size,
        as_of_date=day,
        entries_landed=tally.entries_landed,
        publication=tally.publication or _name(news.publication),
        seconds={"load": loaded - started, **tally.seconds, "total": ended - started},
        failed_checks=tuple(tally.failed_checks),
        error=" ".join(dict.fromkeys(words for event in events if (words := _said(event)))) or None,
        run_id=result.run_id,
    )


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Spare the garbage collector the objects that Dagster and dbt bring along, now and when the process ends.

    There are hundreds of thousands, and all of them stay: looking through them again and again, and once more at the
    end, took a tenth of a refresh.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Raise what the machine beneath refuses (a full disk, a warehouse held by another program) as our own error."""
    try:
        yield
    except (OSError, duckdb.Error, DBAPIError) as error:
        told = advise(error)
        if told is None:
            raise
        raise IngestionError(f"{told} Readers keep the last good file.") from error


def _said(event: "DagsterEvent") -> str | None:
    """Return what a failed step says for people, or why the run did not begin; None for the run that a step ended."""
    from orchestration.plain_failures import READERS_KEPT, RunNotBegun

    told = getattr(event.event_specific_data, "user_failure_data", None)
    if told is not None:
        return str(told.metadata["what_happened"].value) if "what_happened" in told.metadata else told.description
    error = getattr(event.event_specific_data, "error", None)
    if error is None or (event.is_run_failure and error.cls_name != RunNotBegun.__name__):
        return None
    words = str(error.message).strip().removeprefix(f"{RunNotBegun.__module__}.{RunNotBegun.__name__}: ")
    return words.removesuffix(READERS_KEPT).strip()


def _innermost(event: "DagsterEvent") -> "SerializableErrorInfo | None":
    """Return the error at the root of the failure of a Dagster step or run."""
    error: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return error


def _name(publication: "Publication | None") -> str | None:
    return publication.name if publication else None


def _keep_quiet(_step: str, _done: int, _total: int) -> None:
    """Report progress to nobody."""
