"""What those who run the service see: health, counts, headers, and errors that show nothing of our insides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.main import MAX_BODY_BYTES, create_app
from ledger.errors import LedgerNotInitialised
from ledger.log.signer_state import signed_size
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People, problem_of
from tests.support.ledger import log_size
from tests.support.published_file import publish_sample


def test_health_and_readiness(client: TestClient, settings: Settings) -> None:
    """Alive is one question, ready another; without a published file only the numbers are missing."""
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"ledger": "ok", "published": "nothing yet"}
    publish_sample(settings.published_dir)
    assert client.get("/readyz").json() == {"ledger": "ok", "published": "ok"}


@pytest.mark.only_on("sqlite")
def test_not_ready_when_the_ledger_can_not_be_read(client: TestClient, ledger: Ledger, settings: Settings) -> None:
    """A load balancer takes the instance out; the process itself lives on."""
    client.app.state.service.ledger.close()  # type: ignore[attr-defined]
    for path in settings.home.glob("ledger.sqlite3*"):
        path.unlink()
    (settings.home / "ledger.sqlite3").mkdir()
    response = client.get("/readyz")
    assert (response.status_code, response.json()["ledger"]) == (503, "unavailable")
    assert client.get("/healthz").status_code == 200


@pytest.fixture
def near(settings: Settings, ledger: Ledger) -> Iterator[TestClient]:
    with TestClient(create_app(settings, with_workspace=False), client=("127.0.0.1", 50000)) as made:
        yield made


def test_metrics_are_for_this_machine_or_a_token(
    client: TestClient, near: TestClient, people: People, settings: Settings, ledger: Ledger
) -> None:
    """Counts go by route template, so that identifiers never become labels."""
    assert problem_of(client.get("/metrics")) == "not-signed-in"
    assert client.get("/metrics", headers=people.viewer.auth).status_code == 200
    publish_sample(settings.published_dir, log_size=123)
    near.get("/problems/deal-not-found")
    text = near.get("/metrics").text
    assert 'dealbook_requests_total{method="GET",route="/problems/{code}",status="200"} 1.0' in text
    assert "dealbook_published_log_size 123" in text
    found = dict(line.split(" ") for line in text.splitlines() if line.startswith("dealbook_") and "{" not in line)
    assert int(found["dealbook_log_size"]) == log_size(ledger)
    assert int(found["dealbook_log_unsigned"]) == log_size(ledger) - signed_size(settings)
    assert int(found["dealbook_checkpoint_age_seconds"]) >= 0
    assert int(found["dealbook_published_age_seconds"]) >= 0
    assert any(line.startswith("dealbook_request_seconds_bucket{") for line in text.splitlines())


@pytest.mark.parametrize("address", ["/healthz", "/api/v1/me", "/problems", "/nowhere", "/login"])
def test_every_answer_carries_the_security_headers(client: TestClient, address: str) -> None:
    """Found or not, signed in or not."""
    headers = client.get(address).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-request-id"]


def test_answers_of_the_api_are_not_cached(client: TestClient, people: People) -> None:
    """Deals are nobody's business but the caller's."""
    assert client.get("/api/v1/me", headers=people.anna.auth).headers["cache-control"] == "no-store"


def test_an_unexpected_error_shows_nothing_of_our_insides(
    client: TestClient, people: People, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken published file is our fault: 500, no path, no class name, no text of the error."""
    settings.published_dir.mkdir(parents=True)
    (settings.published_dir / "broken.duckdb").write_text("not a database, with a secret in it")
    (settings.published_dir / "CURRENT").write_text("broken.duckdb")
    response = client.get("/api/v1/performance/benchmarks", headers=people.viewer.auth)
    assert (response.status_code, problem_of(response)) == (500, "unexpected-error")
    assert not {"duckdb", "secret", "Traceback", str(settings.home)} & set(response.text.split())
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"] in caplog.text


def test_unknown_addresses_and_methods_are_problems(client: TestClient) -> None:
    """Even what is not there answers in the documented form."""
    assert problem_of(client.get("/api/v1/nothing")) == "address-not-found"
    response = client.delete("/api/v1/me")
    assert (response.status_code, problem_of(response)) == (405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


@pytest.mark.only_on("sqlite")
def test_a_full_database_is_507_and_goes_on_once_there_is_room(client: TestClient, people: People) -> None:
    """SQLite itself says that it is full; nothing of the change is kept, reads go on, the next write succeeds."""
    engine = client.app.state.service.ledger.writer  # type: ignore[attr-defined]
    pages = 1

    def limit(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # never less than what is there

    event.listen(engine, "checkout", limit)
    deal = {"title": "Tower", "asset_type": "office", "deal_type": "lease", "description": "x" * 20_000}
    response = client.post("/api/v1/deals", json=deal, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (507, "disk-full")
    assert int(response.headers["retry-after"]) > 0
    assert client.get("/api/v1/deals", headers=people.anna.auth).json()["items"] == []
    pages = 1_000_000
    assert client.post("/api/v1/deals", json=deal, headers=people.anna.auth).status_code == 201


@pytest.mark.parametrize("method", ["PUT", "OPTIONS"])
def test_allow_names_every_method_of_an_address(client: TestClient, method: str) -> None:
    """Two routes may share one address; a client that reads `Allow` learns of both."""
    assert client.request(method, "/api/v1/deals").headers["allow"] == "GET, POST"
    assert client.request(method, "/api/v1/deals/some").headers["allow"] == "GET, PATCH"


def test_a_body_over_one_mebibyte_is_refused(client: TestClient, people: People) -> None:
    """Counted as it arrives, so a wrong Content-Length helps nobody."""
    body = b'{"title": "' + b"x" * MAX_BODY_BYTES + b'"}'
    headers = people.anna.auth | {"Content-Type": "application/json"}
    response = client.post("/api/v1/deals", content=body, headers=headers)
    assert (response.status_code, problem_of(response)) == (413, "body-too-large")


def test_the_dbt_docs_are_for_people_who_are_signed_in(client: TestClient, people: People, settings: Settings) -> None:
    """Before they are built, the page says how; a path never leaves the site's folder."""
    assert client.get("/docs/dbt/").status_code == 401
    unbuilt = client.get("/docs/dbt/", headers=people.viewer.auth)
    assert unbuilt.status_code == 404
    assert "dealbook docs" in unbuilt.text
    site = settings.home / "dbt_docs"
    site.mkdir()
    (site / "index.html").write_text("<h1>docs</h1>")
    found = client.get("/docs/dbt", headers=people.viewer.auth)
    assert (found.status_code, found.text) == (200, "<h1>docs</h1>")
    assert "connect-src" not in found.headers["content-security-policy"]
    for path in ("..%2fledger.sqlite3", "%2e%2e/ledger.sqlite3", "missing.html"):
        assert client.get(f"/docs/dbt/{path}", headers=people.viewer.auth).status_code == 404


def test_no_page_of_generated_documentation_loads_scripts_from_elsewhere(client: TestClient) -> None:
    """The generated pages would: they are off, the description itself is there."""
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").json()["info"]["title"] == "dealbook"


def test_without_a_ledger_the_app_says_what_to_do(tmp_path: Path) -> None:
    """Starting in the wrong folder is a mistake with an answer."""
    with pytest.raises(LedgerNotInitialised, match="dealbook init"):
        create_app(Settings(home=tmp_path / "nothing"), with_workspace=False)
