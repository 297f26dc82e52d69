"""Campaigns: one guarantee tried many times over with random input, short in `make test`, long in `make soak`."""

import os
import random
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

PROGRESS_SECONDS = 2.0
SHORT_SEED = 2


def part() -> float:
    """Return how much of the long form is wanted: 1 all of it, 0.1 a tenth; 0 is the short form (`DEALBOOK_SOAK`)."""
    return float(os.environ.get("DEALBOOK_SOAK") or 0)


def is_soak() -> bool:
    """Whether campaigns run in their long form, or a part of it."""
    return part() > 0


def rounds(short: int, long: int) -> int:
    """Return how often to try: `short` in `make test`, `long` in `make soak`, and of a part of it at least `short`."""
    return max(short, round(long * part())) if is_soak() else short


def size(short: int, long: int) -> int:
    """Return how large one try is (clients at once, steps of a life): the long form's in any part of it."""
    return long if is_soak() else short


def choose_seed() -> int:
    """Return the seed to replay (`DEALBOOK_SEED`); else a new one in the long form, and always the same in `make test`.

    A change must not fail for what another seed finds in the code before it: looking for that is what soaks are for.
    """
    given = os.environ.get("DEALBOOK_SEED", "")
    if given:
        return int(given)
    return random.SystemRandom().randrange(2**32) if is_soak() else SHORT_SEED


@dataclass
class Campaign:
    """One test's random numbers, its progress and its figures.

    Campaigns of one seed have different random numbers: the test's name is part of where they begin.
    """

    name: str
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed * 2**32 + zlib.crc32(self.name.partition("::")[2].encode()))
        self.say(f"seed {self.seed}; to replay: DEALBOOK_SEED={self.seed} make soak TESTS={self.name!r}")

    def say(self, words: str) -> None:
        """Print a line: shown as it comes in the long form, and with the failure in the short one."""
        print(f"[{self.name.rpartition('::')[2]}] {words}", flush=True)  # noqa: T201 - for whoever watches

    def each(self, total: int, what: str = "rounds") -> Iterator[int]:
        """Count from 0 to `total` - 1, and in the long form say every two seconds how far it has come."""
        started = spoken = time.monotonic()
        for number in range(total):
            yield number
            now = time.monotonic()
            if is_soak() and now - spoken > PROGRESS_SECONDS:
                spoken = now
                left = (now - started) / (number + 1) * (total - number - 1)
                line = f"{number + 1:,} of {total:,} {what}, {left:,.0f} s left"
                self.say(line) if not sys.stdout.isatty() else print(f"\r\x1b[K{line}", end="", flush=True)  # noqa: T201
        if is_soak():
            if sys.stdout.isatty():
                print("\r\x1b[K", end="")  # noqa: T201
            self.say(f"{total:,} {what} in {time.monotonic() - started:,.1f} s")
