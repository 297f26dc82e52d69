"""`dealbook up`: from nothing to everything, on ports that are free, without a terminal, and again in seconds."""

import json
import signal
import socket
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.support.commands import Served, get_json, left_running, processes_of, read_json, serving

pytestmark = pytest.mark.slow


def _fetch(opener: urllib.request.OpenerDirector, address: str) -> tuple[int, str, str]:
    with opener.open(address, timeout=60) as answer:
        return answer.status, answer.url, answer.read().decode(errors="replace")


def test_up_brings_everything_and_loses_nothing(tmp_path: Path) -> None:
    """One command: sample, refresh, workspace, REST, dbt docs, Dagster; taken ports are said; Ctrl-C; then again."""
    home = tmp_path / "home"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = {"DEALBOOK_PORT": str(port), "DEALBOOK_DAGSTER_PORT": "0"}
        with serving(home, tmp_path / "first.log", "up", "--deals", "150", "--agents", "6", **settings) as first:
            printed = first.wait_for("The Dagster UI answers")
            assert f"Port {port} for the workspace and the API cannot be used" in printed
            _look_around(first)
            assert len(processes_of(home)) >= 4, "the product and Dagster's three processes"
            assert first.interrupt() == 0
            assert "Stopped." in first.printed
            assert "Traceback" not in first.printed
    assert left_running(home) == []
    before = read_json(home, "audit", "verify")
    assert before["findings"] == []
    with serving(home, tmp_path / "second.log", "up", "--no-dagster", DEALBOOK_PORT="0") as second:
        printed = second.wait_for("Another link")
        assert "Nothing new" in printed
        assert "Writing a sample" not in printed
        assert second.interrupt(signal.SIGTERM) == 0
        assert "Stopped." in second.printed
    assert read_json(home, "audit", "verify")["entries"] == before["entries"]


def _look_around(running: Served) -> None:
    """Every address that was printed answers, and the link signs in once."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    link = running.address_of("Sign in")
    status, landed, page = _fetch(opener, link)
    assert status == 200
    assert landed.endswith("/agents/performance")
    assert "dealbook" in page
    stranger = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with pytest.raises(urllib.error.HTTPError) as refused:
        _fetch(stranger, link)
    assert refused.value.code in (401, 403, 404, 410)
    assert "dbt" in _fetch(opener, running.address_of("dbt docs"))[2]
    assert json.loads(_fetch(opener, running.address_of("REST API"))[2])["openapi"].startswith("3.")
    assert "dagster" in _fetch(stranger, running.address_of("Dagster UI answers"))[2].lower()


def test_the_sample_is_imported_with_every_row_accounted_for(tmp_path: Path) -> None:
    """A sample's dirt is turned away row by row and the rest goes through to REST."""
    home = tmp_path / "home"
    with serving(
        home, tmp_path / "up.log", "up", "--deals", "100", "--agents", "4", "--no-dagster", DEALBOOK_PORT="0"
    ) as up:
        printed = up.wait_for("Another link")
        address = up.address_of("Workspace").removesuffix("/agents/performance")
        token = read_json(home, "token", "create", "--role", "viewer", "--email", "v@example.com")["token"]
        board = get_json(f"{address}/api/v1/performance/leaderboard", token)
        assert sum(row["deals_closed_won"] for row in board["items"]) > 0
        assert "Rejected rows" in printed
