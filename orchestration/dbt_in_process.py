"""Runs dbt inside this process, so that a refresh imports dbt once and parses the project only when it changed.

Everything that knows dbt's flags, its manifest on disk or its DuckDB handle lives here; nothing here knows Dagster.
Importing this module imports dbt, which takes more than a second: import it where it is needed.

The variables of a refresh (log size, day, …) change every time. dbt throws its parse cache away when `--vars` changes,
so the project is parsed without them and the parsed manifest is handed to the run, which reads variables when it
compiles. Models therefore must not use `var()` in `config()`.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.__version__ import version as duckdb_version
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumuro_decoder
from dbt.version import __version__ as _dbt_version
from dbt_common.events.functions import msg_to_dict

from ledger.settings import Settings
from orchestration.advice import DbtFailed as DbtFailed
from orchestration.definition_version import definition_version
from orchestration.environment import changed_environment, profile_environment, statement_threads

DBT_VERSION: str = _dbt_version
RESULT_EVENTS = frozenset({"LogSeedResult", "LogModelResult", "LogTestResult"})
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError)
"""What reading a damaged parse may raise, as its bytes fall."""
_PASSED = frozenset({"success", "pass", "warn", "no-op"})

Event = dict[str, Any]


@dataclass(frozen=True)
class NodeFailure:
    """A model that could not be built, or a data test that found rows it should not have found."""

    name: str
    kind: str
    about: str
    path: str
    compiled_path: str | None
    failing_rows: int | None
    message: str

    def __str__(self) -> str:
        found = f", {self.failing_rows:,} rows" if self.failing_rows else ""
        return f"{self.kind} {self.name} ({self.path}{found}): {self.message}"


@dataclass(frozen=True)
class DbtRun:
    """What one dbt command did: its failures, and every node's result event in the order in which they ended."""

    invocation_id: str
    failures: tuple[NodeFailure, ...]
    skipped: tuple[str, ...]
    events: tuple[Event, ...]
    execution_seconds: Mapping[str, float]

    @property
    def is_success(self) -> bool:
        """Whether every node was built and every test passed."""
        return not self.failures and not self.skipped


def release_warehouse() -> None:
    """Close dbt's DuckDB handle, which it keeps for the life of the process and which would lock the file."""
    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()


def _flags(settings: Settings) -> list[str]:
    project = str(settings.dbt_project_dir)
    places = ["--project-dir", project, "--profiles-dir", project, "--target-path", str(settings.dbt_target_dir)]
    # No log file: one stays open per invocation, and what matters comes back as events.
    quiet = ["--log-level", "none", "--log-level-file", "none", "--no-print", "--no-use-colors"]
    return [*places, *quiet, "--no-send-anonymous-usage-stats", "--no-version-check"]


def _invoke(
    settings: Settings,
    command: Sequence[str],
    manifest: Any,
    on_event: Callable[[Any], None] | None,
    *,
    threads: int = 1,
) -> Any:
    settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    callbacks = [on_event] if on_event else []
    try:
        with changed_environment(profile_environment(settings.warehouse_path, threads)):
            result = dbtRunner(manifest=manifest, callbacks=callbacks).invoke([*command, *_flags(settings)])
    finally:
        release_warehouse()
    if isinstance(result.exception, KeyboardInterrupt | SystemExit):
        raise result.exception
    if result.exception is not None:
        raise DbtFailed(f"dbt {command[0]} stopped: {result.exception}") from result.exception
    return result


def load_manifest(settings: Settings) -> Any:
    """Return dbt's manifest, parsed anew only where the project changed since the last parse."""
    if _is_parsed(settings):
        saved = (settings.dbt_target_dir / PARTIAL_PARSE_FILE_NAME).read_bytes()
        with contextlib.suppress(*_DAMAGED):  # cut short by a full disk or a power cut: it is made again
            manifest = Manifest.from_msgpack(saved, decoder=extended_mashumuro_decoder)
            manifest.build_flat_graph()
            return manifest
        (settings.dbt_target_dir / PARTIAL_PARSE_FILE_NAME).unlink()
    return _parse(settings)


def load_manifest_json(settings: Settings) -> dict[str, Any]:
    """Return `manifest.json` as a dictionary, parsing the project first when the one on disk is missing or stale."""
    path = settings.dbt_target_dir / "manifest.json"
    if _is_parsed(settings):
        with contextlib.suppress(ValueError):  # cut short: it is made again
            return dict(json.loads(path.read_bytes()))
    _parse(settings)
    return dict(json.loads(path.read_bytes()))


def _parse(settings: Settings) -> Any:
    """Parse the project, leave the result in dbt's target folder for the next process, and return it."""
    stamp = _stamp(settings)
    _stamp_path(settings).unlink(missing_ok=True)
    manifest = _invoke(settings, ["parse"], None, None).result
    _stamp_path(settings).write_text(stamp)
    return manifest


def _is_parsed(settings: Settings) -> bool:
    """Whether the target folder holds the parse of the project as it is now."""
    stamp = _stamp_path(settings)
    kept = (settings.dbt_target_dir / name for name in ("manifest.json", PARTIAL_PARSE_FILE_NAME))
    return stamp.exists() and stamp.read_text() == _stamp(settings) and all(path.exists() for path in kept)


def generate_docs(settings: Settings) -> Path:
    """Write dbt's docs site as one page and return its path in dbt's target folder."""
    _invoke(settings, ["docs", "generate", "--static", "--no-compile"], load_manifest(settings), None)
    return settings.dbt_target_dir / "static_index.html"


def run_dbt(
    settings: Settings,
    command: Sequence[str],
    *,
    manifest: Any,
    variables: Mapping[str, Any] | None = None,
    on_result: Callable[[Event], None] | None = None,
) -> DbtRun:
    """Run a dbt command that executes nodes (`build`, …) and return what it did.

    `on_result` is called with each node's result as it ends, from dbt's threads. Raises `DbtFailed` when dbt itself
    could not run; failing nodes are in the result.
    """
    events: list[Event] = []

    def collect(message: Any) -> None:
        if message.info.name in RESULT_EVENTS:
            event = msg_to_dict(message)
            events.append(event)
            if on_result:
                on_result(event)

    arguments = [*command, *(["--vars", json.dumps(dict(variables))] if variables else [])]
    is_on_top = bool(variables and variables.get("built_log_size"))
    threads = statement_threads(settings.warehouse_path, is_whole=not is_on_top)
    outcome = _invoke(settings, arguments, manifest, collect, threads=threads).result
    if outcome is None:
        raise DbtFailed(f"dbt {command[0]} gave no result")
    failures = [_describe(result) for result in outcome.results if str(result.status) not in _PASSED | {"skipped"}]
    return DbtRun(
        invocation_id=outcome.args.get("invocation_id") or (events[0]["info"]["invocation_id"] if events else ""),
        failures=tuple(failures),
        skipped=tuple(result.node.name for result in outcome.results if str(result.status) == "skipped"),
        events=tuple(events),
        execution_seconds={result.node.name: result.execution_time for result in outcome.results},
    )


def compile_sql(
    settings: Settings, selected: Sequence[str], *, manifest: Any, variables: Mapping[str, Any]
) -> dict[str, str]:
    """Return the SQL that dbt makes of the selected models and analyses, by unique id; the warehouse is not opened.

    The manifest keeps what was compiled: give one that nobody else uses.
    """
    command = ["compile", "--no-introspect", "--no-populate-cache", "--no-write-json", "--select", " ".join(selected)]
    result = _invoke(settings, [*command, "--vars", json.dumps(dict(variables))], manifest, None).result
    return {each.node.unique_id: each.node.compiled_code for each in result.results if each.node.compiled_code}


def _describe(result: Any) -> NodeFailure:
    """Turn dbt's result of a failed node into what a reader needs."""
    node = result.node
    is_test = node.unique_id.startswith("test.")
    return NodeFailure(
        name=node.name,
        kind=node.unique_id.split(".")[0],
        about=", ".join(name.split(".")[-1] for name in node.depends_on.nodes) if is_test else node.name,
        path=str(node.original_file_path),
        compiled_path=node.compiled_path,
        failing_rows=result.failures,
        message=" ".join(str(result.message or result.status).split()),
    )


def _stamp_path(settings: Settings) -> Path:
    return settings.dbt_target_dir / "parsed.stamp"


def _stamp(settings: Settings) -> str:
    """What a parse depends on: the project's files, dbt and its adapter, and the path that the profile carries."""
    versions = f"dbt {DBT_VERSION}, duckdb {duckdb_version}"
    return f"{definition_version(settings.dbt_project_dir)} {versions} {settings.warehouse_path}\n"
