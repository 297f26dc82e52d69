"""Homes for refreshes: a real ledger in which everything has happened, and a small dbt project that may be broken."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.refresh import RefreshReport, refresh
from tests.support.living_ledger import live, new_ledger

DAY = date(2031, 1, 1)
SMALL_PROJECT = Path(__file__).parent / "small_project"


class SettingsWithProject(Settings):
    """Settings whose dbt project lies in the home, where a test may change it."""

    @property
    def dbt_project_dir(self) -> Path:
        return self.home / "project"


@dataclass
class Office:
    """A home of its own, with its open ledger; `first` reports the refresh that it begins with."""

    settings: Settings
    ledger: Ledger
    first: RefreshReport

    def refresh(self, **options: object) -> RefreshReport:
        """Refresh it in this process, as of `DAY` unless told otherwise."""
        return refresh(self.settings, **{"as_of": DAY, **options})  # type: ignore[arg-type]

    def add_dbt_test(self, name: str, sql: str) -> Path:
        """Add a singular data test to the project: it fails with the rows that the query returns."""
        path = self.settings.dbt_project_dir / "tests" / f"{name}.sql"
        path.write_text(sql)
        return path


@dataclass
class Template:
    """A refreshed home, kept to be copied: making Dagster's and dbt's files anew would take seconds a test."""

    home: Path
    kept: Path
    first: RefreshReport


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("office")
    home = folder / "home"
    ledger = new_ledger(home)
    live(ledger)
    ledger.close()
    shutil.copytree(SMALL_PROJECT, home / "project")
    first = refresh(SettingsWithProject(home=home), as_of=DAY)
    home.rename(folder / "kept")
    return Template(home, folder / "kept", first)


@pytest.fixture
def office(template: Template) -> Iterator[Office]:
    """An office with the small dbt project, refreshed once as of `DAY`, at one path for all tests: dbt remembers it."""
    shutil.copytree(template.kept, template.home)
    settings = SettingsWithProject(home=template.home)
    ledger = Ledger.open(settings=settings)
    yield Office(settings, ledger, template.first)
    ledger.close()
    shutil.rmtree(template.home)
