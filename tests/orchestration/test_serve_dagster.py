"""The Dagster UI as people use it: served by real processes, a run started as its buttons start it, and a clean end."""

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest

from ingestion.publishing import current_publication
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.refresh import refresh
from orchestration.serve_dagster import DagsterNotStarted, serve_dagster
from tests.support.living_ledger import append_deals, live, new_ledger

_LOCATION = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_ASSETS = """query Assets($job: PipelineSelector!) { assetNodes(pipeline: $job) {
    assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_SCHEDULES = """query Schedules($repo: RepositorySelector!) { schedulesOrError(repositorySelector: $repo) {
    ... on Schedules { results { name scheduleState { status } } } } }"""


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _ask(address: str, query: str, **variables: Any) -> Any:
    """Put a question to the web server's GraphQL, as its pages do."""
    answer = httpx2.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _processes_naming(text: str) -> list[str]:
    """Command lines of live processes that mention a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended while we looked
                continue
            if text in command:
                found.append(command)
    return found


@pytest.fixture
def real_office(tmp_path: Path) -> Iterator[tuple[Settings, Ledger]]:
    """A ledger in which everything has happened, published once by the product's own dbt project."""
    settings = Settings(home=tmp_path / "home")
    ledger = new_ledger(settings.home)
    live(ledger)
    assert refresh(settings).outcome == "published"
    yield settings, ledger
    ledger.close()


@pytest.mark.slow
def test_materialise_all_in_the_ui_publishes_while_readers_read(real_office: tuple[Settings, Ledger]) -> None:
    """A run of all assets, started through the UI's own interface, publishes; an open reader keeps its file.

    Then everything ends: no process is left, the schedules were on.
    """
    settings, ledger = real_office
    before = current_publication(settings.published_dir)
    assert before is not None
    append_deals(ledger, 5)
    reader = duckdb.connect(str(settings.published_dir / before.name), read_only=True)
    with serve_dagster(settings, _free_port()) as address:
        [repository] = _ask(address, _LOCATION)["repositoriesOrError"]["nodes"]
        place = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
        assert repository["location"]["name"] == "dealbook"
        schedules = _ask(address, _SCHEDULES, repo=place)["schedulesOrError"]["results"]
        assert {item["name"]: item["scheduleState"]["status"] for item in schedules} == {
            "backup_schedule": "RUNNING",
            "hourly_schedule": "RUNNING",
            "nightly_schedule": "RUNNING",
        }
        job = {**place, "pipelineName": "__ASSET_JOB"}
        nodes = _ask(address, _ASSETS, job=job)["assetNodes"]
        selection = {
            "assetSelection": [{"path": node["assetKey"]["path"]} for node in nodes],
            "assetCheckSelection": [
                {"assetKey": {"path": node["assetKey"]["path"]}, "name": check["name"]}
                for node in nodes
                for check in node["assetChecksOrError"]["checks"]
            ],
        }
        params = {"selector": {**job, **selection}, "mode": "default", "runConfigData": {}}
        launched = _ask(address, _LAUNCH, params=params)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        assert _wait_for_run(address, launched["run"]["runId"]) == "SUCCESS"

        after = current_publication(settings.published_dir)
        assert after is not None
        assert after.log_size == before.log_size + 5
        assert reader.execute("select log_size from manifest").fetchall() == [(before.log_size,)]
    reader.close()
    assert _processes_naming(str(settings.dagster_home)) == []


def _wait_for_run(address: str, run_id: str) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = str(_ask(address, _STATUS, id=run_id)["runOrError"]["status"])
        if status in ("SUCCESS", "FAILURE", "CANCELED"):
            return status
        time.sleep(0.5)
    return "still running"


def test_a_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    """Nothing is started that could not be reached."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DagsterNotStarted, match=str(port)), serve_dagster(Settings(home=tmp_path), port):
            pass


def test_one_dagster_serves_one_folder_of_data(tmp_path: Path) -> None:
    """A second one would take the code server's socket away from the first and start every schedule twice."""
    settings = Settings(home=tmp_path)
    with serve_dagster(settings, _free_port(), with_schedules=False) as address:
        with (
            pytest.raises(DagsterNotStarted, match=re.escape(str(tmp_path))),
            serve_dagster(settings, _free_port(), with_schedules=False),
        ):
            pass
        assert _ask(address, _LOCATION)["repositoriesOrError"]["nodes"], "the first lost its code server"
