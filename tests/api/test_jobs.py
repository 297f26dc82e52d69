"""The runs of the refresh over REST: the last first, in pages, whatever else the file holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import job_log
from api.job_log import read_jobs
from ledger.settings import Settings
from tests.api.conftest import People, problem_of


def line(number: int, **changes: Any) -> str:
    written = {
        "event": "refresh.run_ended",
        "timestamp": f"2031-05-04T12:{number // 60:02}:{number % 60:02}.123456Z",
        "run_id": f"run-{number}",
        "outcome": "published",
        "duration_seconds": 3.25,
        "entries_landed": number,
        "log_size": 100 + number,
        "as_of_date": "2031-05-04",
        "rows_published": 7,
        "publication": f"marts-{number}",
        "failed_checks": [],
    }
    return json.dumps(written | changes) + "\n"


@pytest.fixture
def file(settings: Settings) -> Path:
    path = settings.home / "logs" / "refresh.jsonl"
    path.parent.mkdir()
    return path


def read_all(client: TestClient, people: People, limit: int) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        response = client.get("/api/v1/jobs", params={"limit": str(limit), **cursor}, headers=people.viewer.auth)
        assert response.status_code == 200, response.text
        page = response.json()
        seen += page["items"]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}


def test_before_the_first_run_there_are_none(client: TestClient, people: People) -> None:
    """A new home has no file yet."""
    assert read_all(client, people, 50) == []


def test_a_run_says_what_it_read_and_how_it_ended(client: TestClient, people: People, file: Path) -> None:
    """A failed one names the checks."""
    failed = {"outcome": "failed", "publication": None, "failed_checks": ["unique_deals_id"], "rows_published": 0}
    file.write_text(line(1) + line(2, **failed))
    second, first = read_all(client, people, 50)
    assert (first["run_id"], first["entries_read"], first["rows"], first["duration_seconds"]) == ("run-1", 1, 7, 3.25)
    assert (first["ended_at"], first["as_of_date"]) == ("2031-05-04T12:00:01.123456Z", "2031-05-04")
    assert (second["outcome"], second["publication"]) == ("failed", None)
    assert second["failed_checks"] == ["unique_deals_id"]


@pytest.mark.parametrize("limit", [1, 7, 200])
@pytest.mark.parametrize("block", [1, 100, 64 * 1024])
def test_pages_hold_each_run_once(
    client: TestClient, people: People, file: Path, limit: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the blocks of the file end, and though runs end while someone reads."""
    monkeypatch.setattr(job_log, "BLOCK", block)
    file.write_text("".join(line(number) for number in range(20)))
    assert [job["run_id"] for job in read_all(client, people, limit)] == [f"run-{n}" for n in reversed(range(20))]
    page, cursor = read_jobs(file, None, 5)
    with file.open("a") as grown:
        grown.write(line(20))
    rest, _ = read_jobs(file, cursor, 50)
    assert [job["run_id"] for job in page + rest] == [f"run-{n}" for n in reversed(range(20))]


def test_what_is_not_a_run_is_left_out(client: TestClient, people: People, file: Path) -> None:
    """A line half written, broken, of another kind or of another version."""
    other = json.dumps({"event": "something.else", "timestamp": "2031-05-04T12:00:00Z"}) + "\n"
    unknown = json.dumps({"event": "refresh.run_ended", "when": "?"}) + "\n"
    more = line(2, peak_memory=17)
    file.write_bytes(
        (line(1) + "{broken\n" + other + unknown + "\n" + more).encode() + b"\xff\xfe\n" + line(3).encode()[:-9]
    )
    assert [job["run_id"] for job in read_all(client, people, 2)] == ["run-2", "run-1"]


@pytest.mark.parametrize("cursor", ["-1", "x", "99999999", "1e3", "٣"])
def test_a_cursor_of_another_list_is_refused(client: TestClient, people: People, file: Path, cursor: str) -> None:
    """It never reads past the file."""
    file.write_text(line(1))
    refused = client.get("/api/v1/jobs", params={"cursor": cursor}, headers=people.anna.auth)
    assert (refused.status_code, problem_of(refused)) == (422, "cursor-invalid")
