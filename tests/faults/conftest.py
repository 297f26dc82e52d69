"""A nursery of servers, and homes with people to be served from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ledger.log.audit import audit_log
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People, make_people
from tests.support.served_api import Caller, Nursery, ServedApi
from tests.support.stores import Kept, SqliteStore, Store


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Everything is imported once for all servers of the session."""
    made = Nursery()
    yield made
    made.close()


Models = Callable[[Store], tuple[Kept, People]]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """An initialised ledger with people, made once a store and copied for each office."""

    @cache
    def make(store: Store) -> tuple[Kept, People]:
        settings = store.new(tmp_path_factory.mktemp(f"model-{store.name}") / "home")
        people = make_people(settings)
        return store.keep(settings), people

    return make


@pytest.fixture(scope="session")
def model_home(models: Models) -> tuple[Path, People]:
    """The home on SQLite, for campaigns that are about that store."""
    kept, people = models(SqliteStore())
    return kept.home, people


LIMITS = ("rate_limit_per_address", "rate_limit_per_token", "rate_limit_bad_tokens")
DEAL = {"title": "Tower", "asset_type": "office", "deal_type": "lease"}


@dataclass
class Office:
    """A served API, who may call it, and the ledger behind it for the test's own eyes."""

    served: ServedApi
    people: People
    settings: Settings
    ledger: Ledger
    page_limit: Path | None = None
    """While this file is there, a server on SQLite may use no more pages than it has."""

    def caller(self, who: str = "manager") -> Caller:
        """Return a client with this person's token and a connection of its own."""
        return self.served.caller(getattr(self.people, who).token)

    def open_deal(self, caller: Caller) -> str:
        """Open a deal of Anna's and return its id."""
        answer = caller.send("POST", "/api/v1/deals", DEAL | {"agent_id": self.people.anna.id})
        assert answer.status == 201, answer.content
        return str(answer.json()["id"])

    def assert_sound(self) -> None:
        """Fail unless the log verifies, with every checkpoint, and the tables are its fold."""
        with self.ledger.read() as session:
            report = audit_log(session, self.settings, with_state=True)
        assert report.exit_code == 0, report


@pytest.fixture
def office(nursery: Nursery, store: Store, models: Models, tmp_path: Path) -> Iterator[Office]:
    """An office of its own for each test, served without limits of rate."""
    kept, people = models(store)
    unlimited: dict[str, Any] = dict.fromkeys(LIMITS, 0)
    settings = store.copy(kept, tmp_path / "home").model_copy(update=unlimited)
    ledger = Ledger.open(settings.ledger_address, settings)
    address = {"home": settings.home, "ledger_url": settings.ledger_url}
    limit = tmp_path / "page_limit"
    with nursery.serving(tmp_path / "server.log", limit, checkpoint_seconds=1, **address, **unlimited) as served:
        yield Office(served, people, settings, ledger, limit)
    ledger.close()
