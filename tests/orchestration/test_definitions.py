"""The graph from the log to the published marts: what is in it, what guards what, and when it runs."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan

from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES
from ledger.settings import Settings
from orchestration.dbt_in_process import load_manifest_json
from orchestration.definitions import build_definitions
from orchestration.defs.landing import RAW_LOG_TABLES, RAW_REFERENCE_TABLES

MARTS = {
    "agent_currency_snapshots",
    "agent_performance_snapshots",
    "benchmark_comparison",
    "calibration_scores",
    "close_date_slip",
    "commission_status_history",
    "commissions",
    "confidence_calibration",
    "cycle_times",
    "deal_revisions",
    "deals",
    "house_share",
    "lead_source_roi",
    "payout_velocity",
    "performance_benchmarks",
    "pipeline_coverage",
    "pipeline_stage_daily",
    "recalibrated_pipeline",
    "stage_conversion",
    "stage_visits",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def manifest(settings: Settings) -> dict[str, Any]:
    return load_manifest_json(settings)


@pytest.fixture(scope="module")
def definitions(settings: Settings, manifest: dict[str, Any]) -> dg.Definitions:
    return build_definitions(settings, manifest=manifest)


def _keys(definitions: dg.Definitions, group: str) -> set[str]:
    graph = definitions.resolve_asset_graph()
    return {node.key.to_user_string() for node in graph.asset_nodes if node.group_name == group}


def _steps(definitions: dg.Definitions, job: str) -> dict[str, set[str]]:
    """What each step of a job waits for, directly or through others."""
    plan = create_execution_plan(definitions.resolve_job_def(job))
    direct = {step: set(upstream) for step, upstream in plan.get_executable_step_deps().items()}

    def above(step: str) -> set[str]:
        return direct[step] | {further for upstream in direct[step] for further in above(upstream)}

    return {step: above(step) for step in direct}


def test_the_graph_holds_these_assets(definitions: dg.Definitions) -> None:
    """A snapshot: whoever adds or renames an asset sees here what readers and schedules will see."""
    assert _keys(definitions, "ledger") == {"ledger/audit_log"}
    assert _keys(definitions, "raw") == {f"raw/{table}" for table in LOG_TABLES}
    assert _keys(definitions, "reference") == {f"raw/{table}" for table in REFERENCE_TABLES}
    assert _keys(definitions, "marts") == {f"marts/{mart}" for mart in MARTS}
    assert _keys(definitions, "publish") == {"published_marts", "dbt_docs_site"}


def test_jobs_and_schedules(definitions: dg.Definitions, settings: Settings) -> None:
    """Two jobs over the same assets, and the backup: each on one schedule, in the business zone, from the start."""
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert names == {
        "__ASSET_JOB",
        "hourly",
        "nightly",
        "crm_import",
        "reference",
        "column_lineage",
        "backup_and_verify",
    }
    schedules = {schedule.name: schedule for schedule in definitions.schedules or []}
    found = {
        name: (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone, schedule.default_status.value)
        for name, schedule in schedules.items()
        if isinstance(schedule, dg.ScheduleDefinition)
    }
    assert found == {
        "hourly_schedule": ("hourly", "40 * * * *", settings.business_timezone, "RUNNING"),
        "nightly_schedule": ("nightly", "10 0 * * *", settings.business_timezone, "RUNNING"),
        "backup_schedule": ("backup_and_verify", "20 2 * * *", settings.business_timezone, "RUNNING"),
    }
    assert _steps(definitions, "hourly") == _steps(definitions, "nightly") == _steps(definitions, "__ASSET_JOB")


def test_what_is_watched(definitions: dg.Definitions) -> None:
    """New facts, the inbox, loaded reference files, a new project: each sensor runs from the start."""
    watched = {
        sensor.name: ({target.job_name for target in sensor.targets}, sensor.default_status.value)
        for sensor in definitions.sensors or []
        if isinstance(sensor, dg.SensorDefinition)
    }
    assert watched == {
        "new_entries_sensor": ({"hourly"}, "RUNNING"),
        "inbox_sensor": ({"crm_import", "reference"}, "RUNNING"),
        "reference_sensor": ({"hourly"}, "RUNNING"),
        "reference_partly_sensor": ({"hourly"}, "RUNNING"),
        "column_lineage_sensor": ({"column_lineage"}, "RUNNING"),
    }


def test_what_is_read_is_to_be_fresh(definitions: dg.Definitions, settings: Settings) -> None:
    """Marts and the published file warn after as long as readers wait before they call numbers stale."""
    policies = {node.key.to_user_string(): node.freshness_policy for node in _nodes(definitions)}
    guarded = {name: policy for name, policy in policies.items() if policy is not None}
    assert set(guarded) == {f"marts/{mart}" for mart in MARTS} | {"published_marts"}
    [policy] = set(guarded.values())
    assert policy.warn_window.to_timedelta() == timedelta(hours=settings.stale_after_hours)


def _nodes(definitions: dg.Definitions) -> list[Any]:
    return list(definitions.resolve_asset_graph().asset_nodes)


def test_the_tables_named_here_are_the_contracts_tables() -> None:
    """Asset names are written down apart from the contracts, which would import polars; they must agree."""
    assert list(RAW_LOG_TABLES) == list(LOG_TABLES)
    assert list(RAW_REFERENCE_TABLES) == list(REFERENCE_TABLES)


def test_each_check_stands_upstream_of_what_it_guards(definitions: dg.Definitions) -> None:
    """raw is landed and checked before dbt runs; every dbt test has passed before anything is published."""
    above = _steps(definitions, "hourly")
    assert above["land_log"] == set()
    assert above["audit_raw"] == {"land_log"}
    assert above["dbt_build"] == {"land_log", "audit_raw"}
    assert above["published_marts"] == {"land_log", "audit_raw", "dbt_build"}
    assert "published_marts" in above["published_marts_published_equals_built"]
    checks = {
        (check.key.asset_key.to_user_string(), check.key.name): check.blocking
        for check in definitions.resolve_asset_graph().asset_check_nodes
    }
    assert checks[("raw/deal_events", "complete")]
    assert checks[("raw/deal_events", "chain_sound")]
    assert all(checks[(f"raw/{table}", "contract")] for table in LOG_TABLES)


def test_every_model_is_an_asset_and_every_data_test_a_check(
    definitions: dg.Definitions, manifest: dict[str, Any]
) -> None:
    """Also singular tests that read several models, which dbt attaches to none. Only tests that warn do not block."""
    graph = definitions.resolve_asset_graph()
    nodes = manifest["nodes"].values()
    assert len([node for node in nodes if node["resource_type"] == "model"]) == sum(
        len(_keys(definitions, group)) for group in ("staging", "intermediate", "marts")
    )
    tests = {
        node["name"]: node["config"]["severity"].lower() == "error"
        for node in nodes
        if node["unique_id"][:5] == "test."
    }
    checks = {check.key.name: check.blocking for check in graph.asset_check_nodes}
    assert tests
    assert tests == {name: checks.get(name) for name in tests}


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    """Description, owner and kind of every asset of ours are there for whoever opens the UI."""
    bare = [
        node.key.to_user_string()
        for node in definitions.resolve_asset_graph().asset_nodes
        if not (node.description and node.owners and node.kinds)
    ]
    assert bare == []


def test_every_check_says_what_it_guards(definitions: dg.Definitions) -> None:
    """Data tests of dbt too: the columns that identify a row, the rules of a row, or what stands above a query."""
    graph = definitions.resolve_asset_graph()
    said = {node.key.name: graph.get(node.key).description or "" for node in graph.asset_check_nodes}
    assert [name for name, words in said.items() if not words or words == name.replace("_", " ")] == []
    assert said["stage_visits_have_no_duplicates"].startswith("No two rows have the same deal_id")
    assert "- confidence is a share: `effective_confidence between 0 and 1`" in said["deals_keep_their_rules"]
    assert said["every_agent_has_a_row_for_every_day"].startswith("Incremental daily histories leave out the days")


def test_whatever_touches_the_warehouse_takes_its_pool(definitions: dg.Definitions) -> None:
    """DuckDB lets one process write: the pool has one place."""
    plan = create_execution_plan(definitions.resolve_job_def("hourly"))
    assert {step.key: step.pool for step in plan.steps} == dict.fromkeys(_steps(definitions, "hourly"), "warehouse")


def test_the_code_location_loads_from_the_environment(
    settings: Settings, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dagster dev -m orchestration.definitions` needs nothing but DEALBOOK_HOME."""
    from ledger.settings import get_settings
    from orchestration import definitions as module

    monkeypatch.setenv("DEALBOOK_HOME", str(settings.home))
    get_settings.cache_clear()
    try:
        loaded = module.defs.load_fn() if hasattr(module.defs, "load_fn") else module.defs()
        dg.Definitions.validate_loadable(loaded)
    finally:
        get_settings.cache_clear()


def test_the_definition_version_names_what_dbt_reads(tmp_path: Path) -> None:
    """It changes with any file that dbt reads, by name or content, and with nothing that dbt writes."""
    from orchestration.definition_version import definition_version

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.sql").write_text("select 1")
    first = definition_version(tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "compiled.sql").write_text("select 2")
    assert definition_version(tmp_path) == first
    (tmp_path / "models" / "a.sql").rename(tmp_path / "models" / "b.sql")
    renamed = definition_version(tmp_path)
    (tmp_path / "models" / "b.sql").write_text("select 3")
    assert len({first, renamed, definition_version(tmp_path)}) == 3
