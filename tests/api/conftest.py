"""A real ledger in a temporary home, people of every role with tokens, and a client of the app over it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from ledger import access
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import Role
from tests.support.stores import Kept, SqliteStore, Store


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


def make_people(settings: Settings) -> People:
    """Initialise a ledger with one of everybody."""
    ledger = initialise(settings)
    people = People(
        viewer=make_person(ledger, "Vera Tan", Role.VIEWER),
        anna=make_person(ledger, "Anna Lim", Role.AGENT),
        ben=make_person(ledger, "Ben Ong", Role.AGENT),
        manager=make_person(ledger, "Mira Goh", Role.MANAGER),
        admin=make_person(ledger, "Ada Koh", Role.ADMIN),
    )
    ledger.close()
    return people


Templates = Callable[[Store], tuple[Kept, People]]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """An initialised ledger with people, made once a store and copied for each test."""

    @cache
    def make(store: Store) -> tuple[Kept, People]:
        settings = store.new(tmp_path_factory.mktemp(store.name) / "home")
        people = make_people(settings)
        return store.keep(settings), people

    return make


@pytest.fixture(scope="session")
def template(templates: Templates) -> tuple[Path, People]:
    """The home on SQLite, for what is shared by a module's tests."""
    kept, people = templates(SqliteStore())
    return kept.home, people


def make_person(ledger: Ledger, name: str, role: Role) -> Person:
    with ledger.write() as session:
        user = access.create_user(
            session, access.SYSTEM, name=name, email=f"{name.split()[0].lower()}@example.com", role=role
        )
        _, secret = access.create_token(session, access.SYSTEM, user.id, name="test")
        return Person(user.id, name, role, secret)


@pytest.fixture
def settings(tmp_path: Path, store: Store, templates: Templates) -> Settings:
    return store.copy(templates(store)[0], tmp_path / "home")


@pytest.fixture
def people(store: Store, templates: Templates) -> People:
    return templates(store)[1]


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger.open(settings.ledger_address, settings)
    yield opened
    opened.close()


class Client(TestClient):
    """A test client that fails on answers which /openapi.json does not document, and on promised headers left out."""

    documented: ClassVar[list[tuple[re.Pattern[str], dict[str, Any]]]] = []
    """A pattern of each path, with its operations: the same for every app, and slow to describe."""

    def _operations(self) -> list[tuple[re.Pattern[str], dict[str, Any]]]:
        if not self.documented:
            paths: dict[str, Any] = self.app.openapi()["paths"]  # type: ignore[attr-defined]
            for path, operations in paths.items():
                self.documented.append((re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations))
        return self.documented

    def request(self, method: str, url: Any, **arguments: Any) -> Any:
        response = super().request(method, url, **arguments)
        path = str(url).split("?")[0]
        for pattern, operations in self._operations():
            if pattern.fullmatch(path) and method.lower() in operations:
                documented = operations[method.lower()]["responses"].get(str(response.status_code))
                assert documented, f"{method} {path} answered {response.status_code}, which is not documented"
                for name, header in documented.get("headers", {}).items():
                    assert name in response.headers or not header.get("required"), f"{method} {path}: no {name}"
                if response.status_code == 204:
                    assert not response.content
                    break
                media_type = response.headers.get("content-type", "").split(";")[0]
                assert media_type in documented["content"], f"{method} {path}: {media_type} is not documented"
                break
        return response


@pytest.fixture
def client(settings: Settings, ledger: Ledger) -> Iterator[TestClient]:
    with Client(create_app(settings, with_workspace=False), raise_server_exceptions=False) as made:
        yield made


def problem_of(response: Any) -> str:
    """Return the problem's code, having checked that the answer is a whole problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return str(document["type"]).removeprefix("/problems/")
