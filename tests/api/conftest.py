"""A real ledger in a temporary home, people of every role with tokens, and a client of the app over it."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
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


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """A home with an initialised ledger and people, made once and copied for each test."""
    home = tmp_path_factory.mktemp("template") / "home"
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


def make_person(ledger: Ledger, name: str, role: Role) -> Person:
    with ledger.write() as session:
        user = access.create_user(
            session, access.SYSTEM, name=name, email=f"{name.split()[0].lower()}@example.com", role=role
        )
        _, secret = access.create_token(session, access.SYSTEM, user.id, name="test")
        return Person(user.id, name, role, secret)


@pytest.fixture
def settings(tmp_path: Path, template: tuple[Path, People]) -> Settings:
    shutil.copytree(template[0], tmp_path / "home")
    return Settings(home=tmp_path / "home")


@pytest.fixture
def people(template: tuple[Path, People]) -> People:
    return template[1]


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger.open(settings.ledger_address, settings)
    yield opened
    opened.close()


class Client(TestClient):
    """A test client that fails on answers which /openapi.json does not document, and on promised headers left out."""

    @cached_property
    def _operations(self) -> list[tuple[re.Pattern[str], dict[str, Any]]]:
        paths: dict[str, Any] = self.app.openapi()["paths"]  # type: ignore[attr-defined]
        return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations) for path, operations in paths.items()]

    def request(self, method: str, url: Any, **arguments: Any) -> Any:
        response = super().request(method, url, **arguments)
        path = str(url).split("?")[0]
        for pattern, operations in self._operations:
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
