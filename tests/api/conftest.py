"""A real ledger in a temporary home, people of every role with tokens, and a client of the app over it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from ledger import access
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import Role


@dataclass(frozen=True)
class Person:
    """A user with a token, as a caller of the API."""

    id: str
    name: str
    role: Role
    token: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class People:
    """One of each role, and a second agent."""

    viewer: Person
    anna: Person
    ben: Person
    manager: Person
    admin: Person


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = initialise(settings)
    yield opened
    opened.close()


def make_person(ledger: Ledger, name: str, role: Role) -> Person:
    with ledger.write() as session:
        user = access.create_user(
            session, access.SYSTEM, name=name, email=f"{name.split()[0].lower()}@example.com", role=role
        )
        _, secret = access.create_token(session, access.SYSTEM, user.id, name="test")
        return Person(user.id, name, role, secret)


@pytest.fixture
def people(ledger: Ledger) -> People:
    return People(
        viewer=make_person(ledger, "Vera Tan", Role.VIEWER),
        anna=make_person(ledger, "Anna Lim", Role.AGENT),
        ben=make_person(ledger, "Ben Ong", Role.AGENT),
        manager=make_person(ledger, "Mira Goh", Role.MANAGER),
        admin=make_person(ledger, "Ada Koh", Role.ADMIN),
    )


@pytest.fixture
def client(settings: Settings, ledger: Ledger) -> Iterator[TestClient]:
    with TestClient(create_app(settings, with_workspace=False), raise_server_exceptions=False) as made:
        yield made


def problem_of(response: Any) -> str:
    """Return the problem's code, having checked that the answer is a whole problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return str(document["type"]).removeprefix("/problems/")
