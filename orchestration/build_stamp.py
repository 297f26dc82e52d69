"""The note that a build leaves when every model was built and every test passed; publishing asks for it.

Checks guard what comes after them within one run. Somebody may still start publishing alone, after a build that
failed or was cut short: without this note that would publish it.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.settings import Settings

if TYPE_CHECKING:
    from orchestration.resources import RefreshRun


@dataclass(frozen=True)
class BuildStamp:
    """What the marts in the warehouse were built from."""

    log_size: int
    as_of_date: str
    definition_version: str
    business_timezone: str
    reporting_currency: str
    references: str
    dbt_invocation_id: str
    dbt_version: str

    @classmethod
    def of(cls, run: "RefreshRun", *, references: str, invocation_id: str, dbt_version: str) -> "BuildStamp":
        """Return the stamp of a run whose build has passed; `references` is the digest of the files it read."""
        facts = run.dbt_variables
        return cls(**facts, references=references, dbt_invocation_id=invocation_id, dbt_version=dbt_version)


def write_build_stamp(settings: Settings, stamp: BuildStamp) -> None:
    """Say that the warehouse holds a whole, tested build."""
    (settings.dbt_target_dir / "build.json").write_text(json.dumps(dataclasses.asdict(stamp)))


def read_build_stamp(settings: Settings) -> BuildStamp | None:
    """Return the stamp of the build in the warehouse; None when it is not whole or not tested, or was cut short."""
    try:
        return BuildStamp(**json.loads((settings.dbt_target_dir / "build.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def last_built(run: "RefreshRun", references: str) -> dict[str, Any]:
    """Return dbt's variables for a build on top of the last one; none where everything has to be computed anew.

    All tables in the warehouse must come from one whole build, of the same definitions, settings and reference files.
    Neither the log nor the day asked about may go back: nothing is ever taken out of a table.
    """
    from ingestion.build_mark import read_build_mark

    built = None if run.full else read_build_mark(run.settings.warehouse_path)
    if built is None:
        return {}
    now = {**run.dbt_variables, "references": references}
    is_same = all(
        built[name] == now[name]
        for name in ("definition_version", "business_timezone", "reporting_currency", "references")
    )
    if not is_same or built["log_size"] > now["log_size"] or built["as_of_date"] > now["as_of_date"]:
        return {}
    return {"built_log_size": built["log_size"], "built_as_of_date": built["as_of_date"]}


def remove_build_stamp(settings: Settings) -> None:
    """Take the stamp away: what the warehouse holds is about to change."""
    (settings.dbt_target_dir / "build.json").unlink(missing_ok=True)
