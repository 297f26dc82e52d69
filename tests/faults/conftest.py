"""A nursery of servers, and homes with people to be served from."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.log.audit import audit_log
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import Role
from tests.api.conftest import People, make_person
from tests.support.served_api import Caller, Nursery, ServedApi


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Everything is imported once for all servers of the session."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """A home with an initialised ledger and people, made once and copied for each office."""
    home = tmp_path_factory.mktemp("model") / "home"
    ledger = initialise(Settings(home=home))
    people = People(
        viewer=make_person(ledger, "Vera Tan", Role.VIEWER),
        anna=make_person(ledger, "Anna Lim", Role.AGENT),
        ben=make_person(ledger, "Ben Ong", Role.AGENT),
        manager=make_person(ledger, "Mira Goh", Role.MANAGER),
        admin=make_person(ledger, "Ada Koh", Role.ADMIN),
    )
    ledger.close()
    return home, people


LIMITS = ("rate_limit_per_address", "rate_limit_per_token", "rate_limit_bad_tokens")
DEAL = {"title": "Tower", "asset_type": "office", "deal_type": "lease"}


@dataclass
class Office:
    """A served API, who may call it, and the ledger behind it for the test's own eyes."""

    served: ServedApi
    people: People
    settings: Settings
    ledger: Ledger

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
def office(nursery: Nursery, model_home: tuple[Path, People], tmp_path: Path) -> Iterator[Office]:
    """An office of its own for each test, served without limits of rate."""
    home, people = model_home
    shutil.copytree(home, tmp_path / "home")
    unlimited: dict[str, Any] = dict.fromkeys(LIMITS, 0)
    settings = Settings(home=tmp_path / "home", **unlimited)
    ledger = Ledger.open(settings.ledger_address, settings)
    with nursery.serving(tmp_path / "server.log", home=settings.home, **unlimited) as served:
        yield Office(served, people, settings, ledger)
    ledger.close()
