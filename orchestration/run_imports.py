"""What the fork server of `code_server` imports before runs are forked from it: installed packages that every run uses.

Only packages that start no thread: a fork has none but the thread that forked, and a lock that another held would never
be released in it. So DuckDB, polars, numpy and pyarrow, which start threads when they are imported, are left to the
run, and with them our own modules, which a run therefore reads from disk as they are when it begins.
"""

import contextlib
import gc
import importlib

PRELOADED = (
    "cryptography.hazmat.primitives.serialization",
    "dagster",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.noop_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._grpc.impl",
    "dagster_dbt",
    "dbt.cli.main",
    "dbt.task.build",
    "dbt_common.clients.agate_helper",
    "msgspec",
    "pydantic_settings",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm",
    "upath.core",
)

gc.disable()
for _name in PRELOADED:
    with contextlib.suppress(Exception):  # what cannot be imported is the run's to report, which has someone to tell
        importlib.import_module(_name)
# Hundreds of thousands of objects that stay: a run that looks through them again and again copies every page of memory.
gc.freeze()
gc.enable()
