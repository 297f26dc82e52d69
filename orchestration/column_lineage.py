"""From which columns each column of a model is made: read out of the compiled SQL once a definition, and kept.

Working it out takes some ten seconds, so no refresh does it: the job `column_lineage` does, after the first refresh of
a new dbt project, and refreshes attach what it left.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger.settings import Settings
from orchestration.definition_version import definition_version

Lineage = dict[str, dict[str, list[tuple[list[str], str]]]]
"""Model (dbt's unique id) -> column -> the asset keys and columns that it is made from."""


def lineage_path(settings: Settings) -> Path:
    """Return where it is kept."""
    return settings.home / "dbt_docs" / "column_lineage.json"


def read_lineage(settings: Settings) -> Lineage:
    """Return what is known of the project as it is now; nothing where the project has changed since."""
    try:
        kept = json.loads(lineage_path(settings).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    is_current = kept["definition_version"] == definition_version(settings.dbt_project_dir)
    return dict(kept["models"]) if is_current else {}


def build_lineage(settings: Settings, manifest: Mapping[str, Any]) -> Lineage:
    """Work it out from the SQL that the last refresh compiled and from the tables it built; keep and return it.

    Models of which the SQL cannot be followed are left out.
    """
    from dagster_dbt.core.dbt_cli_event import EventHistoryMetadata, _build_column_lineage_metadata

    from ingestion.refresh_lock import hold_refresh_lock
    from ingestion.warehouse import open_warehouse
    from orchestration.dbt_translator import Translator

    with hold_refresh_lock(settings):
        version = definition_version(settings.dbt_project_dir)
        with open_warehouse(settings.warehouse_path) as warehouse:
            columns: dict[tuple[str, str], dict[str, Any]] = {}
            for schema, table, column, data_type in warehouse.execute(
                "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
            ).fetchall():
                columns.setdefault((schema, table), {})[column] = {"data_type": data_type}
    nodes = {**manifest["nodes"], **manifest["sources"]}
    models: Lineage = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model":
            continue
        parents = {
            nodes[name]["relation_name"]: columns.get((nodes[name]["schema"], _table_of(nodes[name])), {})
            for name in node["depends_on"]["nodes"]
            if name in nodes
        }
        history = EventHistoryMetadata(columns=columns.get((node["schema"], _table_of(node)), {}), parents=parents)
        try:
            found = _build_column_lineage_metadata(history, node, manifest, Translator(), settings.dbt_target_dir, None)
        except Exception:  # noqa: S112 - a parser of SQL may give up in any way; that model then has none
            continue
        lineage = found.get("dagster/column_lineage")
        if lineage is not None:
            models[unique_id] = {
                column: [(list(source.asset_key.path), source.column_name) for source in sources]
                for column, sources in sorted(lineage.deps_by_column.items())
            }
    path = lineage_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"definition_version": version, "models": models}))
    fresh.replace(path)
    return models


def as_metadata(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return one model's lineage as metadata that the Dagster UI draws."""
    import dagster as dg

    deps = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(key), column_name=name) for key, name in sources]
        for column, sources in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def _table_of(node: Mapping[str, Any]) -> str:
    return str(node.get("alias") or node["name"])
