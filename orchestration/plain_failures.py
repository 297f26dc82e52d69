"""How a run fails: in words for people, made from whatever error stopped it, with what was kept and what to do.

Every asset, check and job is wrapped in `fails_plainly`; what Dagster runs outside of steps (the resource, sensors,
schedules, the loading of the graph) in `begins_plainly`. The error itself stays below the words, for whoever mends it.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import dagster as dg

from orchestration.advice import advise, in_one_line

READERS_KEPT = "Not published: readers keep the last good file."
INBOX_KEPT = "Files that were not taken in stay where they are; taking them in again adds nothing twice."
BACKUPS_KEPT = "No backup was made; the ledger and the earlier backups are as they were."
NUMBERS_KEPT = "No number is touched by it."
LINEAGE_KEPT = "Lineage is shown as it was found last; no number is touched by it."


class RunNotBegun(dg.DagsterError):
    """What a run needs before its first step is not there. Dagster shows errors of this kind without wrapping them."""


def fail(what: str, kept: str = READERS_KEPT, cause: BaseException | None = None, **metadata: Any) -> NoReturn:
    """Fail the step; `what` says what happened and what to do, `kept` what is as it was."""
    facts = {"what_happened": what, "kept": kept, **metadata}
    raise dg.Failure(f"{what} {kept}", metadata=facts, allow_retries=False) from cause


def fails_plainly(kept: str = READERS_KEPT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wrap an asset's, check's or job's function: an error leaves it as a failure that says what to do."""
    return lambda function: _wrapped(function, lambda: _told(lambda words, error: fail(words, kept, error)))


def begins_plainly(kept: str = READERS_KEPT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wrap what Dagster calls outside of steps: an error leaves it as `RunNotBegun` that says what to do."""

    def tell(words: str, error: BaseException) -> NoReturn:
        raise RunNotBegun(f"{words} {kept}") from error

    return lambda function: _wrapped(function, lambda: _told(tell))


@contextmanager
def _told(tell: Callable[[str, BaseException], NoReturn]) -> Iterator[None]:
    try:
        yield
    except (dg.Failure, dg.DagsterError):  # they say it themselves
        raise
    except Exception as error:
        tell(advise(error) or _unforeseen(error), error)


def _unforeseen(error: BaseException) -> str:
    return (
        f"An error that dealbook does not know stopped it ({in_one_line(error)}). Run `dealbook doctor` and try again; "
        "if it comes back, report it with the stack trace below."
    )


def _wrapped(function: Callable[..., Any], guard: Callable[[], Any]) -> Callable[..., Any]:
    """Return the function in a guard, with the parameters that Dagster looks for."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*arguments: Any, **named: Any) -> Iterator[Any]:
            with guard():
                yield from function(*arguments, **named)

        return generate

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with guard():
            return function(*arguments, **named)

    return call
