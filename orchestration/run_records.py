"""`home/logs/refresh.jsonl`: one line of JSON per run of a job, written when it has ended.

docs/operate.md has its fields. Appended and never rewritten. Read by the sensor, by publishing (table
`jobs_registry`) and by REST.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger.settings import Settings

STARTED_BY_TAG = "dealbook/started_by"
"""Tag of a run that says who started it, where Dagster itself does not know."""
_TAIL_BYTES = 64 * 1024


def records_path(settings: Settings) -> Path:
    """Return where the lines are."""
    return settings.home / "logs" / "refresh.jsonl"


def last_record(settings: Settings) -> dict[str, Any] | None:
    """Return the line of the run that ended last, with `ended` in seconds since 1970; None before the first.

    Runs that found all published are passed over: they took no time after which to rest.
    """
    try:
        with records_path(settings).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    for record in _parsed(reversed(lines)):
        if record.get("outcome") == "nothing_new":
            continue
        return {**record, "ended": datetime.fromisoformat(record["timestamp"]).timestamp()}
    return None


def log_event(path: Path, event: str, **fields: Any) -> None:
    """Append one structured line (JSON, with the moment) to a file."""
    import structlog  # takes a tenth of a second, and most who read this file write nothing

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        log = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        )
        log.info(event, **fields)


def _parsed(lines: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines that tell of a run; one cut short by a full disk is passed over."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("event") == "refresh.run_ended":
            yield record
