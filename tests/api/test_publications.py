"""Publications over REST: which are kept, which one readers see, and the way back to an earlier one."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ingestion.publishing import list_flips
from ledger.settings import Settings
from tests.api.conftest import People, problem_of
from tests.support.published_file import publish_sample, write_sidecar


@pytest.fixture
def folder(settings: Settings) -> Path:
    """Two publications; readers see the second."""
    for generation in (1, 2):
        name = publish_sample(settings.published_dir, generation=generation, log_size=100)
        write_sidecar(settings.published_dir, name, generation)
    return settings.published_dir


def read(client: TestClient, people: People, path: str) -> Any:
    response = client.get(f"/api/v1/{path}", headers=people.viewer.auth)
    assert response.status_code == 200, response.text
    return response.json()


def test_before_the_first_there_are_none(client: TestClient, people: People) -> None:
    assert read(client, people, "publications") == {"items": []}
    response = client.post(
        "/api/v1/publication/rollback", json={"file_name": "marts-1.duckdb"}, headers=people.manager.auth
    )
    assert (response.status_code, problem_of(response)) == (404, "publication-not-found")


def test_a_manager_leads_readers_back_and_is_named(client: TestClient, people: People, folder: Path) -> None:
    """The very next read is of the earlier one; sent again it stays there; the list says which is current."""
    newest, earlier = read(client, people, "publications")["items"]
    assert (newest["is_current"], earlier["is_current"]) == (True, False)
    assert read(client, people, "publication")["generation"] == newest["generation"] == 2
    for _ in range(2):
        response = client.post(
            "/api/v1/publication/rollback", json={"file_name": earlier["file_name"]}, headers=people.manager.auth
        )
        assert response.status_code == 200, response.text
        assert response.json()["file_name"] == earlier["file_name"]
        assert read(client, people, "publication")["generation"] == 1
    assert [item["is_current"] for item in read(client, people, "publications")["items"]] == [False, True]
    assert {(flip.to, flip.by) for flip in list_flips(folder, 10)} == {(earlier["file_name"], people.manager.name)}


def test_nobody_else_does_and_no_other_file_is_reached(client: TestClient, people: People, folder: Path) -> None:
    """A name is looked up among what is kept; it is no path."""
    before = (folder / "CURRENT").read_text()
    names = [f"../published/{before.strip()}", "CURRENT", "marts-000000000100-run3.duckdb"]
    for name in names:
        response = client.post("/api/v1/publication/rollback", json={"file_name": name}, headers=people.manager.auth)
        assert (response.status_code, problem_of(response)) == (404, "publication-not-found")
    for person in (people.anna, people.viewer, people.admin):
        response = client.post(
            "/api/v1/publication/rollback", json={"file_name": "marts-000000000100-run1.duckdb"}, headers=person.auth
        )
        assert (response.status_code, problem_of(response)) == (403, "not-permitted")
    assert (folder / "CURRENT").read_text() == before
