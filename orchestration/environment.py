"""Environment variables for a while: dbt's profile and Dagster's configuration name places by them."""

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def changed_environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set these variables while the context lasts, and put back what was there."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
