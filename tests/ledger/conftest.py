"""Fixtures: a ledger of its own for every test, on each store, and people to act in it."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from ledger.store import Ledger, initialise
from tests.support.ledger import Staff, record_staff
from tests.support.stores import Kept, Store

Templates = Callable[[Store, bool], tuple[Kept, Staff | None]]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """New ledgers, with and without people, made once a store: copying them is much quicker than making them anew."""

    @cache
    def make(store: Store, is_staffed: bool) -> tuple[Kept, Staff | None]:
        home = tmp_path_factory.mktemp(store.name) / "home"
        if not is_staffed:
            settings = store.new(home)
            initialise(settings).close()
            return store.keep(settings), None
        empty, _ = make(store, False)
        settings = store.copy(empty, home)
        ledger = initialise(settings)
        people = record_staff(ledger)
        ledger.close()
        return store.keep(settings), people

    return make


@pytest.fixture
def ledger(request: pytest.FixtureRequest, store: Store, templates: Templates, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, with people in it when the test asks for `staff`."""
    kept, _ = templates(store, "staff" in request.fixturenames)
    built = initialise(store.copy(kept, tmp_path / "home"))
    yield built
    built.close()


@pytest.fixture
def staff(ledger: Ledger, store: Store, templates: Templates) -> Staff:
    """The people in the ledger."""
    people = templates(store, True)[1]
    assert people is not None
    return people
