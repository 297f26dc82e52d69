"""The bench of summaries measures what it says: the product's own route beside one that answers the same bytes."""

import json
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from api import bench
from ledger.settings import Settings
from tests.api.conftest import People
from tests.support.published_file import publish_sample


def test_both_servers_answer_the_same_and_both_are_measured(
    settings: Settings, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The yardstick is a fair one: same log-in, same body. No time is asserted: the machine is anybody's."""
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "ROUND_SECONDS", 0.2)
    publish_sample(settings.published_dir, agents={people.anna.id: "Anna Lim"})
    said = StringIO()
    figures = bench.run_http_bench(settings.home, tmp_path / "bench", Console(file=said))
    assert "ratio" in said.getvalue()
    kept = json.loads((tmp_path / "bench" / "http.json").read_text())
    assert kept["ratio"] == figures.ratio > 0
    assert kept["first_ms"] > 0
    bodies = []
    for what in ("summary", "constant"):
        with bench._served(settings.home, what) as port:
            for headers, status in (({}, 401), (people.manager.auth, 200)):
                connection = HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", f"{bench.SUMMARY}?agent_id={people.anna.id}&period=30d", headers=headers)
                response = connection.getresponse()
                body = response.read()
                assert response.status == status
                connection.close()
            bodies.append(json.loads(body))
    assert bodies[0] == bodies[1]
