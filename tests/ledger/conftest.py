"""Fixtures: a ledger of its own for every test, and people to act in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.store import Ledger
from tests.support.ledger import Staff, build_ledger, record_staff


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    built = build_ledger(tmp_path)
    yield built
    built.close()


@pytest.fixture
def staff(ledger: Ledger) -> Staff:
    return record_staff(ledger)
