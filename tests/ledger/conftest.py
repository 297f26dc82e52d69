"""Fixtures: a ledger of its own for every test, and people to act in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.settings import Settings
from ledger.store import Ledger, initialise
from tests.support.ledger import Staff, build_ledger, record_staff


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State of a new ledger, made once: copying it is much quicker than making it again for every test."""
    home = tmp_path_factory.mktemp("empty")
    build_ledger(home).close()
    return home


@pytest.fixture(scope="session")
def staffed_home(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Staff]:
    """The same with people in it."""
    home = tmp_path_factory.mktemp("staffed") / "home"
    shutil.copytree(empty_home, home)
    ledger = build_ledger(home)
    people = record_staff(ledger)
    ledger.close()
    return home, people


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, with people in it when the test asks for `staff`."""
    name = "staffed_home" if "staff" in request.fixturenames else "empty_home"
    source = request.getfixturevalue(name)
    home = tmp_path / "home"
    shutil.copytree(source[0] if isinstance(source, tuple) else source, home)
    built = initialise(Settings(home=home))
    yield built
    built.close()


@pytest.fixture
def staff(ledger: Ledger, staffed_home: tuple[Path, Staff]) -> Staff:
    """The people in the ledger."""
    return staffed_home[1]
