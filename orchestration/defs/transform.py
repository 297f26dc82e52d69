"""raw -> staging -> intermediate -> marts: every dbt model and seed is an asset, every dbt data test an asset check.

Add nothing here for a new model: it comes out of dbt's manifest. What to keep out: SQL, and rules about data.
"""

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from orchestration.build_stamp import BuildStamp, last_built, remove_build_stamp, write_build_stamp
from orchestration.column_lineage import as_metadata, read_lineage
from orchestration.dagster_dbt_quietly import DbtCoreCliEventMessage, dagster_dbt
from orchestration.dbt_translator import Translator
from orchestration.failed_checks import FailedCheck, describe_dbt_failure
from orchestration.plain_failures import READERS_KEPT, fail, fails_plainly
from orchestration.resources import RefreshRun, Tally
from orchestration.table_facts import describe_tables

_UNIT_TESTS = "resource_type:unit_test"  # they say whether the SQL is right, not whether tonight's data are


def attach_tests(manifest: dict[str, Any]) -> dict[str, Any]:
    """Give every data test one model that it is a check of, and return the same manifest.

    A singular test that reads several models is attached to none by dbt, and Dagster would then not know it as a check.
    It becomes a check of the first mart that it reads, else of the first model.
    """
    nodes = manifest["nodes"]
    for node in nodes.values():
        if node["resource_type"] != "test" or node.get("attached_node"):
            continue
        models = [name for name in node["depends_on"]["nodes"] if name in nodes]
        if models:
            node["attached_node"] = next((name for name in models if nodes[name]["schema"] == "marts"), models[0])
    return manifest


def describe_tests(manifest: dict[str, Any]) -> dict[str, Any]:
    """Give every data test words for the Dagster UI, which reads them from `meta`, and return the same manifest.

    A test of rows lists its rules; one that is a query of its own says what stands above the query.
    """
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test":
            node["meta"] = {"description": node.get("description") or _words_of_test(node), **node.get("meta", {})}
    return manifest


def _words_of_test(node: Mapping[str, Any]) -> str:
    arguments = (node.get("test_metadata") or {}).get("kwargs", {})
    if "columns" in arguments:
        return f"No two rows have the same {', '.join(arguments['columns'])}; a null counts as a value."
    if "rules" in arguments:
        rules = [f"- {name.replace('_', ' ')}: `{' '.join(rule.split())}`" for name, rule in arguments["rules"].items()]
        return "\n".join(["In every row:", "", *rules])
    comment = itertools.takewhile(lambda line: line.startswith("--"), node["raw_code"].splitlines())
    return " ".join(line.removeprefix("--").strip() for line in comment) or node["name"].replace("_", " ")


def build_dbt_assets(manifest: dict[str, Any]) -> dg.AssetsDefinition:
    """Return one definition with all models, seeds and data tests of the project."""
    manifest = describe_tests(attach_tests(manifest))
    translator = Translator()

    @dagster_dbt.dbt_assets(  # type: ignore[untyped-decorator]  # dagster_dbt is not followed by the type checker
        manifest=manifest,
        dagster_dbt_translator=translator,
        exclude=_UNIT_TESTS,
        pool="warehouse",
        name="dbt_build",
    )
    @fails_plainly()
    def dbt_build(context: dg.AssetExecutionContext, refresh_run: dg.ResourceParam[RefreshRun]) -> Iterator[Any]:
        from ingestion.build_mark import remove_build_mark, write_build_mark
        from ingestion.landing import read_watermark
        from ingestion.reference_files import reference_digest
        from orchestration.dbt_in_process import DBT_VERSION, load_manifest, run_dbt

        settings, tally = refresh_run.settings, refresh_run.tally
        tally.log_size = read_watermark(settings.warehouse_path)
        references = reference_digest(settings.warehouse_path)

        selection, is_whole = _selection(context, manifest, translator)
        on_top_of = last_built(refresh_run, references) if is_whole else {}
        # From here to the end of a whole build that passed its tests, nothing may rest on what the warehouse holds.
        remove_build_stamp(settings)
        remove_build_mark(settings.warehouse_path)
        command = ["build", "--no-write-json", "--exclude", _UNIT_TESTS, *selection]
        started = time.monotonic()
        parsed = load_manifest(settings)
        tally.seconds["parse"] = time.monotonic() - started
        run = run_dbt(
            settings,
            command,
            manifest=parsed,
            variables={**refresh_run.dbt_variables, **on_top_of, **rows_tested(refresh_run)},
            on_result=_Progress(
                context, tally, total=len(context.selected_asset_keys) + len(context.selected_asset_check_keys)
            ),
        )
        tally.seconds["dbt"] = time.monotonic() - started

        built = {event["data"]["node_info"]["unique_id"] for event in run.events}
        facts = describe_tables(settings.warehouse_path, [manifest["nodes"][node] for node in built])
        for node, columns in read_lineage(settings).items():
            facts.setdefault(node, {}).update(as_metadata(columns))
        failed = {failure.name: describe_dbt_failure(failure, settings.warehouse_path) for failure in run.failures}
        for event in run.events:
            check = failed.get(event["data"]["node_info"]["node_name"])
            message = DbtCoreCliEventMessage(raw_event=event, event_history_metadata={})
            for outcome in message.to_default_asset_events(manifest, translator, context, settings.dbt_target_dir):
                yield _with_facts(outcome, facts.get(event["data"]["node_info"]["unique_id"], {}), check)

        if not run.is_success:
            for check in failed.values():
                tally.fail(check)
            fail(_summary(list(failed.values())), failed=len(run.failures), skipped=len(run.skipped))
        if is_whole:
            stamp = BuildStamp.of(
                refresh_run, references=references, invocation_id=run.invocation_id, dbt_version=DBT_VERSION
            )
            write_build_mark(settings.warehouse_path, {**refresh_run.dbt_variables, "references": references})
            write_build_stamp(settings, stamp)

    definition: dg.AssetsDefinition = dbt_build
    return definition


def mart_keys(dbt_build: dg.AssetsDefinition) -> list[dg.AssetKey]:
    """Return the keys of the models that are published."""
    return sorted(spec.key for spec in dbt_build.specs if spec.group_name == "marts")


def rows_tested(refresh_run: RefreshRun) -> dict[str, Any]:
    """Return dbt's variable for which rows are judged: all where all is verified, else those that are written now."""
    return {"test_every_row": True} if refresh_run.full or refresh_run.verify_all else {}


class _Progress:
    """Says how far dbt is: to whoever watches at every node, in the run's log at most every other second."""

    def __init__(self, context: dg.AssetExecutionContext, tally: Tally, total: int) -> None:
        self._context, self._tally, self._total = context, tally, total
        self._done, self._said_at = 0, time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        self._done += 1
        self._tally.say("Building and testing models", self._done, self._total)
        if time.monotonic() - self._said_at > 2:
            self._said_at = time.monotonic()
            self._context.log.info(f"dbt: {self._done} of {self._total}, {event['data']['node_info']['node_name']}")


def _selection(
    context: dg.AssetExecutionContext, manifest: Mapping[str, Any], translator: Translator
) -> tuple[list[str], bool]:
    """Return dbt's arguments for the assets selected in this run, and whether that is all of them."""
    if not context.is_subset:
        return [], True
    nodes = [
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed") and translator.get_asset_key(node) in context.selected_asset_keys
    ]
    checks = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    tests = [
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        and node.get("attached_node")
        and (translator.get_asset_key(manifest["nodes"][node["attached_node"]]), node["name"]) in checks
    ]
    names = [manifest["nodes"][unique_id]["name"] for unique_id in nodes + tests]
    return ["--select", " ".join(names), "--indirect-selection", "empty"], False


def _summary(failed: list[FailedCheck]) -> str:
    """Return what the first failures say; a broken model may take hundreds of tests along."""
    more = f" And {len(failed) - 3:,} more: see the checks of this run." if len(failed) > 3 else ""
    return " ".join(check.sentence() for check in failed[:3]) + more


def _with_facts(outcome: Any, facts: Mapping[str, Any], check: FailedCheck | None) -> Any:
    """Return the materialisation with the table's facts added, a failed check with what to do."""
    if check is not None and isinstance(outcome, dg.AssetCheckResult):
        told: dict[str, Any] = {"what_to_do": check.what_to_do, "kept": READERS_KEPT}
        return outcome._replace(description=check.sentence(), metadata={**outcome.metadata, **told})
    if not facts or not isinstance(outcome, dg.Output):
        return outcome
    return dg.Output(value=None, output_name=outcome.output_name, metadata={**outcome.metadata, **facts})
