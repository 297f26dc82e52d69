"""Imports over REST: files in, every row accounted for, nothing twice, nothing left lying about."""

import csv
import io
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import import_runs
from api.main import create_app
from ledger.access import SYSTEM
from ledger.imports import start_import
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditLog
from tests.api.conftest import Client, People, problem_of
from tests.support.crm_export import DEALS, HISTORY, MAPPING

ROW = "D{0},Anna Lim,Acme,Offer,1000.00,40,2024-01-0{0},"
GOOD = "\n".join([DEALS, *[ROW.format(number) for number in (1, 2, 3)]])
BAD = GOOD + "\nD4,Anna Lim,Acme,Nonsense,1000.00,40,2024-01-04,\n"
MOVES = "\n".join([HISTORY, "D1,New,2024-01-01", "D1,Offer,2024-01-05"])
BENCHMARKS = (
    "metric_key,metric_value,cohort,effective_date,source\nconversion_rate,0.31,industry_avg,2024-01-01,Study\n"
)


@pytest.fixture
def send(client: TestClient, people: People) -> Callable[..., Any]:
    """Send files as a manager."""

    def send(*files: tuple[str, str | bytes], own: str | None = MAPPING, key: str = "", **values: str) -> Any:
        parts: list[Any] = [("files", (name, content)) for name, content in files]
        if own is not None:
            parts.append(("mapping_file", ("tiny.toml", own)))
        headers = people.manager.auth | ({"Idempotency-Key": key} if key else {})
        return client.post("/api/v1/imports", files=parts, data=values, headers=headers)

    return send


@pytest.fixture
def ended(client: TestClient, people: People) -> Callable[[Any], dict[str, Any]]:
    """Wait until an accepted import has ended, and return it."""

    def wait(response: Any) -> dict[str, Any]:
        assert response.status_code == 202, response.text
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found: dict[str, Any] = client.get(response.headers["location"], headers=people.manager.auth).json()
            if found["finished_at"]:
                return found
            time.sleep(0.02)
        raise AssertionError(found)

    return wait


def entries(ledger: Ledger) -> int:
    with ledger.read() as session:
        return session.query(AuditLog).count()


def wait_until_empty(folder: Path) -> None:
    """Files are deleted when their import has ended."""
    until = time.monotonic() + 60
    while list(folder.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_twenty_files_go_in_together_beside_their_mapping(send: Any, ended: Any) -> None:
    """What the description allows is taken; one more is refused with the limit."""
    files = [(f"deals-{number}.csv", "\n".join([DEALS, ROW.format(number % 9 + 1)])) for number in range(21)]
    refused = send(*files)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"location": "body.files", "message": "Send at most 20 files at once."}]
    assert ended(send(*files[:20]))["state"] == "done"


def test_an_import_accounts_for_every_row_and_again_adds_nothing(
    client: TestClient, ledger: Ledger, people: People, settings: Settings, send: Any, ended: Any
) -> None:
    """The report, the rejects and the ledger agree; the second time nothing is written to the log."""
    first = ended(send(("deals.csv", BAD), ("moves.csv", MOVES)))
    assert (first["state"], first["outcome"]) == ("done", "imported")
    assert (first["rows"], first["accepted"], first["rejected"]) == (6, 5, 1)
    assert [(file["name"], file["section"], file["created"]) for file in first["report"]["files"]] == [
        ("deals.csv", "deals", 3),
        ("moves.csv", "stage_events", 2),
    ]
    rejects = client.get(f"/api/v1/imports/{first['id']}/rejects.csv", headers=people.manager.auth)
    [row] = csv.DictReader(io.StringIO(rejects.text))
    assert (row["file"], row["line"], row["column"], row["value"]) == ("deals.csv", "5", "Stage", "Nonsense")
    with ledger.read() as session:
        assert session.query(AgentDeal).count() == 3
    before = entries(ledger)
    again = ended(send(("deals.csv", BAD), ("moves.csv", MOVES)))
    assert [file["unchanged"] for file in again["report"]["files"]] == [3, 2]
    assert (again["rejected"], entries(ledger)) == (1, before)
    wait_until_empty(settings.uploads_dir)


def test_a_dry_run_reports_the_same_and_writes_nothing(
    client: TestClient, ledger: Ledger, people: People, send: Any, ended: Any
) -> None:
    """Not an entry, not a deal; its rejects can be read all the same."""
    before = entries(ledger)
    tried = ended(send(("deals.csv", BAD), dry_run="true"))
    assert (tried["outcome"], tried["accepted"], tried["rejected"]) == ("dry_run", 3, 1)
    assert tried["report"]["entries"] > 0
    assert entries(ledger) == before
    rejects = client.get(f"/api/v1/imports/{tried['id']}/rejects.csv", headers=people.manager.auth)
    assert "Nonsense" in rejects.text
    done = ended(send(("deals.csv", BAD)))
    assert done["report"]["entries"] == tried["report"]["entries"]


def test_strict_keeps_everything_out_for_one_bad_row(ledger: Ledger, send: Any, ended: Any) -> None:
    """All or nothing."""
    before = entries(ledger)
    refused = ended(send(("deals.csv", BAD), strict="true"))
    assert (refused["outcome"], refused["accepted"], refused["rejected"]) == ("refused", 0, 4)
    assert entries(ledger) == before
    assert ended(send(("deals.csv", GOOD), strict="true"))["outcome"] == "imported"


def test_a_key_sent_again_starts_nothing(client: TestClient, people: People, send: Any, ended: Any) -> None:
    """The same files under the same key, though cut into parts differently, get the first answer byte for byte."""
    first = send(("deals.csv", GOOD), key="monday")
    ended(first)
    again = send(("deals.csv", GOOD), key="monday")
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replay"] == "true"
    assert len(client.get("/api/v1/imports", headers=people.manager.auth).json()["items"]) == 1
    assert problem_of(send(("deals.csv", BAD), key="monday")) == "idempotency-key-reused"


def test_what_cannot_be_imported_is_said_at_once_without_our_folders(
    client: TestClient, people: People, settings: Settings, send: Any
) -> None:
    """No record is made, no file is left, and no message tells where the server keeps things."""
    answers = [
        (send(("deals.csv", "a,b\n1,2\n")), "file-invalid"),
        (send(("deals.csv", "")), "file-invalid"),
        (send(("deals.csv", b"\xe9t\xe9,\xff\n1,2\n")), "file-invalid"),
        (send(("deals.csv", GOOD), own="source = 3"), "mapping-invalid"),
        (send(("deals.csv", GOOD), own="not toml"), "mapping-invalid"),
        (send(("deals.csv", GOOD), own=None), "request-invalid"),
        (send(("deals.csv", GOOD), own=None, mapping_name="x"), "request-invalid"),
        (send(("deals.csv", GOOD), dry_run="perhaps"), "request-invalid"),
        (send(), "request-invalid"),
        (send(("figures.csv", GOOD), own=None, kind="reference"), "file-invalid"),
        (send(("figures.csv.gz", GOOD), own=None, kind="reference"), "file-invalid"),
        (client.post("/api/v1/imports", json={}, headers=people.manager.auth), "request-malformed"),
        (
            client.post(
                "/api/v1/imports",
                content=b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\nab',
                headers=people.manager.auth | {"Content-Type": "multipart/form-data; boundary=x"},
            ),
            "request-malformed",
        ),
    ]
    for response, code in answers:
        assert problem_of(response) == code, response.text
        assert str(settings.home) not in response.text
    assert client.get("/api/v1/imports", headers=people.manager.auth).json()["items"] == []
    assert not list(settings.uploads_dir.iterdir())


def test_a_mapping_is_never_a_file_of_the_server(send: Any, tmp_path: Path) -> None:
    """A name is a name: a path would read whatever the server may read."""
    (tmp_path / "own.toml").write_text(MAPPING)
    for name in (str(tmp_path / "own.toml"), "../mappings/hubspot", "hubspot.toml"):
        assert problem_of(send(("deals.csv", GOOD), own=None, mapping=name)) == "request-invalid"


def test_names_of_files_stay_in_their_folder(settings: Settings, send: Any, ended: Any) -> None:
    """Whatever a client calls its file, it is written where uploads are and nowhere else."""
    before = {path for path in settings.home.rglob("*") if path.is_file()}
    found = ended(send(("../../../escaped.csv", GOOD), ("..", MOVES)))
    assert found["state"] == "done"
    wait_until_empty(settings.uploads_dir)
    new = {path for path in settings.home.rglob("*") if path.is_file()} - before
    assert all(path.parent in (settings.rejects_dir, settings.checkpoints_dir, settings.home) for path in new), new
    assert not (settings.home.parent / "escaped.csv").exists()


def test_reference_files_come_in_too(client: TestClient, people: People, send: Any, ended: Any) -> None:
    """Rows accepted, repeated and turned away, a dry run among them, and the second time nothing."""
    bad = BENCHMARKS + "conversion_rate,much,industry_avg,2024-02-01,Study\n"
    tried = ended(send(("benchmarks.csv", bad), own=None, kind="reference", dry_run="true"))
    assert (tried["outcome"], tried["rows"], tried["accepted"], tried["rejected"]) == ("dry_run", 2, 1, 1)
    first = ended(send(("benchmarks.csv", bad), own=None, kind="reference"))
    assert (first["outcome"], first["report"]["files"][0]["created"], first["rejected"]) == ("imported", 1, 1)
    rejects = client.get(f"/api/v1/imports/{first['id']}/rejects.csv", headers=people.manager.auth)
    assert "benchmarks.csv,3,metric_value,much" in rejects.text
    again = ended(send(("benchmarks.csv", bad), own=None, kind="reference"))
    assert (again["report"]["files"][0]["created"], again["report"]["files"][0]["unchanged"]) == (0, 1)


def test_a_large_body_is_streamed_to_disk_and_ends_at_its_limit(
    settings: Settings, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a mebibyte gets in and is not held in memory; beyond the setting it is 413; elsewhere 1 MiB counts."""
    monkeypatch.setenv("DEALBOOK_IMPORT_MAX_MIB", "24")
    with Client(
        create_app(Settings(home=settings.home, ledger_url=settings.ledger_url), with_workspace=False)
    ) as client:
        part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="deals.csv"\r\n\r\n' + DEALS.encode()
        row = b"\n" + ROW.format(1).encode()

        def body(mebibytes: int) -> Any:
            yield part
            for _ in range(mebibytes * 16):
                yield row * (2**16 // len(row))
            yield b"\r\n--x--\r\n"

        headers = people.manager.auth | {"Content-Type": "multipart/form-data; boundary=x"}
        assert (
            problem_of(client.post("/api/v1/deals", content=body(2), headers=people.manager.auth)) == "body-too-large"
        )
        tracemalloc.start()
        # Without a mapping: the whole body is read, then refused, so that only receiving is measured.
        response = client.post("/api/v1/imports", content=body(20), headers=headers)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert problem_of(response) == "request-invalid"
        assert most < 45 * 2**20  # the test client itself joins the body once: 20 MiB
        over = client.post("/api/v1/imports", content=body(26), headers=headers)
        assert problem_of(over) == "body-too-large"
        assert "24 MiB" in over.json()["detail"]
        assert not list(settings.uploads_dir.iterdir())


def test_who_may_not_import_fills_no_disk(client: TestClient, people: People, settings: Settings) -> None:
    """Refused before the body is read."""
    files = {"files": ("deals.csv", GOOD)}
    assert client.post("/api/v1/imports", files=files).status_code == 401
    assert client.post("/api/v1/imports", files=files, headers=people.anna.auth).status_code == 403
    assert client.post("/api/v1/mappings/proposal", files=files, headers=people.viewer.auth).status_code == 403
    assert not settings.uploads_dir.exists()


def test_a_restart_in_the_middle_leaves_a_clear_state_and_no_harm(
    settings: Settings, ledger: Ledger, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two batches: interrupted; the same files sent again add exactly what is missing."""
    from ingestion.crm_files import importing

    monkeypatch.setattr(importing, "BATCH_DEALS", 1)
    reached, go_on = threading.Event(), threading.Event()

    def hold(_seconds: float) -> None:  # the pause between two batches, made as long as it takes
        reached.set()
        assert go_on.wait(60)

    monkeypatch.setattr(import_runs.time, "sleep", hold)
    with Client(create_app(settings, with_workspace=False)) as client:
        sent = client.post(
            "/api/v1/imports",
            files=[("files", ("deals.csv", GOOD)), ("mapping_file", ("tiny.toml", MAPPING))],
            headers=people.manager.auth,
        )
        assert reached.wait(60)
        place = sent.headers["location"]
        running = client.get(place, headers=people.manager.auth).json()
        assert (running["state"], running["progress"]) == ("running", {"step": "deals", "done": 1, "total": 3})
        assert problem_of(client.get(place + "/rejects.csv", headers=people.manager.auth)) == "import-not-finished"
        client.app.state.service.imports._is_stopping = True  # type: ignore[attr-defined]
        go_on.set()
    monkeypatch.undo()
    with ledger.read() as session:
        assert session.query(AgentDeal).count() == 1
    with Client(create_app(settings, with_workspace=False)) as client:
        cut_off = client.get(place, headers=people.manager.auth).json()
        assert (cut_off["state"], cut_off["outcome"], cut_off["finished_at"]) == ("interrupted", None, None)
        sent = client.post(
            "/api/v1/imports",
            files=[("files", ("deals.csv", GOOD)), ("mapping_file", ("tiny.toml", MAPPING))],
            headers=people.manager.auth,
        )
        until = time.monotonic() + 60
        while not (found := client.get(sent.headers["location"], headers=people.manager.auth).json())["finished_at"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        [file] = found["report"]["files"]
        assert (file["created"], file["unchanged"]) == (2, 1)


def test_a_file_that_breaks_off_is_told_with_what_to_do(send: Any, ended: Any, settings: Settings) -> None:
    """Half a gzip file: failed, with the file's name and not its place."""
    import gzip

    whole = gzip.compress((GOOD + "\n" + "\n".join(ROW.format(9) for _ in range(9_000))).encode())
    found = ended(send(("deals.csv.gz", whole[: len(whole) // 2])))
    assert (found["state"], found["outcome"]) == ("failed", "failed")
    assert "deals.csv.gz breaks off" in found["problem"]
    assert str(settings.home) not in found["problem"]


def test_imports_are_listed_by_pages_those_of_the_command_line_too(
    client: TestClient, ledger: Ledger, people: People
) -> None:
    """Newest first, each once."""
    with ledger.write() as session:
        made = [
            start_import(session, SYSTEM, file_name=f"{n}.csv", file_sha256="0" * 64, mapping="m") for n in range(5)
        ]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/imports", params=query, headers=people.manager.auth).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_a_mapping_is_proposed_and_can_be_used(client: TestClient, people: People, send: Any, ended: Any) -> None:
    """What is proposed for files imports them, once what is missing has been filled in."""
    response = client.post(
        "/api/v1/mappings/proposal",
        files={"files": ("deals.csv", GOOD)},
        data={"source": "ours"},
        headers=people.manager.auth,
    )
    assert response.status_code == 200
    proposal = response.json()
    assert 'source = "ours"' in proposal["mapping"]
    assert any("asset_type" in each for each in proposal["missing"])
    text = proposal["mapping"].replace('# TODO asset_type = "…"', 'asset_type = "office"')
    text = text.replace('# TODO deal_type = "…"', 'deal_type = "lease"')
    assert ended(send(("deals.csv", GOOD), own=text))["rejected"] == 0
    names = [item["name"] for item in client.get("/api/v1/mappings", headers=people.manager.auth).json()["items"]]
    assert {"hubspot", "salesforce", "pipedrive", "zoho"} <= set(names)
