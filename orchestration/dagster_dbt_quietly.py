"""Imports dagster_dbt without the deprecation warning of a package that it alone uses (sqlglot's Rust tokenizer)."""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="sqlglotrs is deprecated", category=DeprecationWarning)
    import dagster_dbt
    from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

__all__ = ["DbtCoreCliEventMessage", "dagster_dbt"]
