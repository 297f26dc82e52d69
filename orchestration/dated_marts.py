"""The marts for any past day: their own SQL, compiled for a day that is given when a published file is asked.

A published file is of one day. It also carries functions, `cycle_times_as_of(day)` and its like, whose text is what dbt
makes of the models, so a formula stands in one place. dbt compiles them with a placeholder for the day; a mart and all
that it is built from become one query, which begins with what is dated: revisions of deals and commissions, cut off at
the end of that day by the queries in `dbt_project/analyses/`, and inputs that say themselves from when they hold.

Compiled once for a state of the project, and kept: a refresh has no time for it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ingestion.dated_marts import DAY, DatedMarts
from ledger.settings import Settings

MARTS = (
    "benchmark_comparison",
    "calibration_scores",
    "close_date_slip",
    "commissions",
    "confidence_calibration",
    "cycle_times",
    "deals",
    "lead_source_roi",
    "payout_velocity",
    "recalibrated_pipeline",
    "stage_conversion",
    "stage_visits",
)
"""What is asked for past days. The daily series and the histories are dated already."""
_CUT = "__until_day"
_PLACEHOLDER = "day-to-be-given"
_PLACEHOLDER_SQL = f"cast('{_PLACEHOLDER}' as date)"
_FORM = 1  # of the file below; another number makes it anew


def dated_marts(settings: Settings, *, definition_version: str) -> DatedMarts:
    """Return the functions for the project as it is now; compiled when they are not kept. Raises `DbtFailed`."""
    facts = [_FORM, definition_version, settings.business_timezone, settings.reporting_currency]
    stamp = hashlib.sha256(json.dumps([*facts, str(settings.warehouse_path), MARTS]).encode()).hexdigest()
    path = settings.dbt_target_dir / "dated_marts.json"
    kept = json.loads(path.read_bytes()) if path.exists() else {}
    if kept.get("stamp") != stamp:
        marts = _compile(settings, definition_version)
        kept = {"stamp": stamp, "functions": marts.functions, "inputs": marts.inputs}
        path.write_text(json.dumps(kept))
    return DatedMarts(functions=kept["functions"], inputs=kept["inputs"])


def _compile(settings: Settings, definition_version: str) -> DatedMarts:
    from orchestration.dbt_in_process import compile_sql, load_manifest

    manifest = load_manifest(settings)  # one of its own: compiling leaves its text in it
    variables = {
        "log_size": "(select log_size from main.manifest)",
        "as_of_date": _PLACEHOLDER,
        "business_timezone": settings.business_timezone,
        "reporting_currency": settings.reporting_currency,
        "definition_version": definition_version,
    }
    nodes: Mapping[str, Any] = {**manifest.nodes, **manifest.sources}
    names = {node.name: unique_id for unique_id, node in nodes.items() if node.resource_type in ("model", "analysis")}
    cuts = [name for name in names if name.endswith(_CUT)]
    if not cuts:  # another project than ours, of which nothing is known
        return DatedMarts(functions={}, inputs={})
    wanted = [mart for mart in MARTS if mart in names]
    selected = [*(f"+{mart}" for mart in wanted), *cuts]
    texts = compile_sql(settings, selected, manifest=manifest, variables=variables)
    inputs: dict[str, str] = {}
    functions = {}
    for mart in wanted:
        steps: dict[str, str] = {}
        _add(names[mart], nodes, names, texts, steps, inputs)
        steps_sql = ",\n".join(f"{name} AS (\n{text}\n)" for name, text in steps.items())
        query = f"WITH {steps_sql}\nSELECT * FROM {_step(mart)}"
        functions[mart] = query.replace(_PLACEHOLDER_SQL, f"cast({DAY} as date)")
    return DatedMarts(functions=functions, inputs=inputs)


def _add(
    unique_id: str,
    nodes: Mapping[str, Any],
    names: Mapping[str, str],
    texts: Mapping[str, str],
    steps: dict[str, str],
    inputs: dict[str, str],
) -> None:
    """Add a model as a step after all that it reads; a model with a cut is read from the published file, cut off."""
    node = nodes[unique_id]
    if _step(node.name) in steps:
        return
    cut = names.get(f"{node.name}{_CUT}")
    text = texts[cut or unique_id]
    for parent_id in nodes[cut or unique_id].depends_on.nodes:
        parent = nodes[parent_id]
        is_whole = parent_id == unique_id or parent.resource_type in ("seed", "source")
        if not is_whole:
            _add(parent_id, nodes, names, texts, steps, inputs)
        elif parent.schema != "marts":
            inputs[parent.name] = parent.relation_name
        place = f"inputs.{parent.name}" if parent.schema != "marts" else f"main.{parent.name}"
        text = text.replace(parent.relation_name, place if is_whole else _step(parent.name))
    steps[_step(node.name)] = text


def _step(name: str) -> str:
    return f"{name}_of_day"
