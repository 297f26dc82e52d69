"""The workspace beside REST on one app: it answers below its own address, and only to its own pages."""

from collections.abc import Iterator
from pathlib import Path

import nicegui
import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api.main import create_app
from ledger.settings import Settings
from ledger.store import Ledger, initialise

SOCKET = "/agents/_nicegui_ws/socket.io/?EIO=4&transport="


@pytest.fixture
def pages(settings: Settings, ledger: Ledger) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def test_unknown_addresses_are_problems_outside_and_pages_inside(pages: TestClient) -> None:
    """REST's strangers keep their problem documents; people get a page."""
    outside, inside = pages.get("/api/v1/nothing"), pages.get("/agents/nothing")
    assert (outside.status_code, outside.headers["content-type"]) == (404, "application/problem+json")
    assert inside.status_code == 404
    assert inside.headers["content-type"].startswith("text/html")
    assert "Nothing here" in inside.text


def test_pages_may_load_from_nowhere_else(pages: TestClient) -> None:
    """The policy that goes with each page names this server alone, and no page names another."""
    page = pages.get("/agents/sign-in")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert 'src="http' not in page.text
    assert 'href="http' not in page.text


def test_assets_come_from_here(pages: TestClient) -> None:
    """Style, fonts and scripts are files of ours or of the wheel."""
    for path in ("assets/workspace.css", f"_nicegui/{nicegui.__version__}/static/quasar.umd.prod.js", "favicon.ico"):
        assert pages.get(f"/agents/{path}").status_code == 200, path


@pytest.mark.parametrize(("origin", "is_let_in"), [("http://testserver", True), ("https://elsewhere.example", False)])
def test_a_foreign_page_cannot_open_the_socket(pages: TestClient, origin: str, is_let_in: bool) -> None:
    """Browsers send our cookie with a socket that any site opens: only the origin tells them apart."""
    polled = pages.get(SOCKET + "polling", headers={"Origin": origin})
    assert polled.status_code == (200 if is_let_in else 403)
    if not is_let_in:
        with (
            pytest.raises(WebSocketDisconnect),
            pages.websocket_connect(SOCKET + "websocket", headers={"Origin": origin}),
        ):
            pass


def test_apps_made_one_after_the_other_do_not_mix(tmp_path: Path) -> None:
    """NiceGUI exists once in a process; each app's pages still speak of that app's own state."""
    for name in ("one", "two"):
        settings = Settings(home=tmp_path / name)
        ledger = initialise(settings)
        with TestClient(create_app(settings)) as client:
            assert client.get("/agents/sign-in").status_code == 200
            answer = client.get("/agents/performance", follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, "/agents/sign-in")
        ledger.close()
