"""How dbt's models look in Dagster: their group, owner and description."""

from collections.abc import Mapping
from typing import Any

from orchestration.dagster_dbt_quietly import dagster_dbt


class Translator(dagster_dbt.DagsterDbtTranslator):  # type: ignore[misc]  # dagster_dbt's base class is untyped here
    """Groups by folder, an owner for every model, descriptions as the project states them."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the folder below `models/`, or the kind of the resource."""
        if dbt_resource_props["resource_type"] != "model":
            return f"{dbt_resource_props['resource_type']}s"
        return str(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Return the team that answers for the models."""
        del dbt_resource_props
        return ["team:analytics"]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the description alone: the SQL is in the docs site."""
        return str(dbt_resource_props.get("description") or dbt_resource_props["name"])
