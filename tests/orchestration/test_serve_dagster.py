"""The Dagster UI as people use it: served by real processes, a run started as its buttons start it, and a clean end."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest

from ingestion.publishing import current_publication
from ingestion.refresh_lock import hold_refresh_lock
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.column_lineage import lineage_path
from orchestration.definition_version import definition_version
from orchestration.refresh import refresh
from orchestration.serve_dagster import DagsterNotStarted, serve_dagster
from tests.support.living_ledger import append_deals, live, new_ledger

_LOCATION = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_ASSETS = """query Assets($job: PipelineSelector!) { assetNodes(pipeline: $job) {
    assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_TERMINATE = "mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }"
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


@dataclass(frozen=True)
class _Process:
    """A live process as Linux shows it."""

    id: int
    parent: int
    group: int
    command: str


def _processes() -> list[_Process]:
    """Every live process but this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it ended while we looked
                continue
            if state != "Z":  # ended; its parent has not asked how
                found.append(_Process(int(entry.name), int(parent), int(group), command))
    return found


def _processes_naming(text: str) -> list[_Process]:
    """Live processes whose command line mentions a text."""
    return [process for process in _processes() if text in process.command]


@pytest.fixture
def real_office(tmp_path: Path) -> Iterator[tuple[Settings, Ledger]]:
    """A ledger in which everything has happened, published once by the product's own dbt project."""
    settings = Settings(home=tmp_path / "home")
    ledger = new_ledger(settings.home)
    live(ledger)
    assert refresh(settings).outcome == "published"
    yield settings, ledger
    ledger.close()


def _note_lineage(settings: Settings) -> None:
    """Leave a lineage of columns, so that no sensor starts a run that works one out."""
    lineage = {"definition_version": definition_version(settings.dbt_project_dir), "models": {"model.none": {}}}
    lineage_path(settings).write_text(json.dumps(lineage))


@pytest.mark.slow
def test_materialise_all_in_the_ui_publishes_while_readers_read(real_office: tuple[Settings, Ledger]) -> None:
    """A run of all assets, started through the UI's own interface, publishes; an open reader keeps its file.

    One before it was terminated while it waited for its turn. Then everything ends: no process is left, the schedules
    were on.
    """
    settings, ledger = real_office
    before = current_publication(settings.published_dir)
    assert before is not None
    append_deals(ledger, 5)
    _note_lineage(settings)
    reader = duckdb.connect(str(settings.published_dir / before.name), read_only=True)
    with ExitStack() as turn:
        turn.enter_context(hold_refresh_lock(settings))
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
            waiting = _launch_all(address, place)
            assert _wait_for_run(address, waiting, "STARTED") == "STARTED"
            [code_server] = _processes_naming(f"orchestration.code_server api grpc --socket {settings.dagster_home}")
            _assert_runs_are_forked(code_server)
            assert _ask(address, _TERMINATE, id=waiting)["terminateRun"]["__typename"] == "TerminateRunSuccess"
            assert _wait_for_run(address, waiting) == "CANCELED"
            turn.close()
            assert _wait_for_run(address, _launch_all(address, place)) == "SUCCESS"

            after = current_publication(settings.published_dir)
            assert after is not None
            assert after.log_size == before.log_size + 5
            assert reader.execute("select log_size from manifest").fetchall() == [(before.log_size,)]
    reader.close()
    assert _processes_naming(str(settings.dagster_home)) == []
    assert [process for process in _processes() if process.group == code_server.id] == []


def _launch_all(address: str, place: dict[str, str]) -> str:
    """Start a run of all assets and checks as the UI's button does; returns its id."""
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
    return str(launched["run"]["runId"])


def _assert_runs_are_forked(code_server: _Process) -> None:
    """The one run in progress has the fork server for a parent, which had imported Dagster and has one thread.

    This fails, too, when a new Dagster no longer takes the way to make a process that `code_server` gives it.
    """
    if sys.platform != "linux":
        return
    below = [process for process in _processes() if process.group == code_server.id]
    [fork_server] = [each for each in below if each.parent == code_server.id and "forkserver" in each.command]
    assert [each.id for each in below if each.parent == fork_server.id], "the run's process was not forked"
    assert "cygrpc" in Path(f"/proc/{fork_server.id}/maps").read_text(), "Dagster was not imported before the fork"
    assert len(list(Path(f"/proc/{fork_server.id}/task").iterdir())) == 1


def _wait_for_run(address: str, run_id: str, awaited: str = "") -> str:
    """Return the run's status when it has ended, or is the one awaited."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = str(_ask(address, _STATUS, id=run_id)["runOrError"]["status"])
        if status in ("SUCCESS", "FAILURE", "CANCELED", awaited):
            return status
        time.sleep(0.5)
    return "still running"


_ADOPTING = """
import ctypes, subprocess, sys, time
from orchestration.serve_dagster import _is_alive
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
child = subprocess.Popen(["sh", "-c", "true & exit"], start_new_session=True)
while _is_alive(child):
    time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such process elsewhere")
def test_what_a_child_leaves_to_the_first_process_of_a_container_ends_with_it() -> None:
    """There, the fork server of a code server that has ended is ours to ask for its end: else stopping would wait."""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", _ADOPTING], cwd=root, check=True, timeout=60)


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
