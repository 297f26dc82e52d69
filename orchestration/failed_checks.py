"""What a failed check tells people: which, on what, how many rows, and what to do. Imports neither dbt nor Dagster."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.advice import advise_on_words

if TYPE_CHECKING:
    from orchestration.dbt_in_process import NodeFailure

READ_REJECTS = (
    "The rows and the rules they break are in rejects/: report them. Once the ledger or the contract is mended, run "
    "`dealbook refresh`."
)
VERIFY_LOG = "Run `dealbook audit verify`; publish nothing until it says that the log is sound."
LAND_AGAIN = (
    "Run `dealbook refresh --full`: it lands the whole log again. If it fails again, run `dealbook audit verify`."
)
SIGN_AGAIN = "Then run `dealbook refresh`: what is not signed is not published."
PUBLISH_AGAIN = "Run `dealbook publish rollback`, then `dealbook refresh --full`."


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed; `rows` is the number of rows that it objects to, None where it does not count rows."""

    name: str
    about: str
    rows: int | None
    message: str
    what_to_do: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def sentence(self) -> str:
        """Return what happened and what to do in one line."""
        rows = "" if self.rows is None else f" ({self.rows:,} {'row' if self.rows == 1 else 'rows'})"
        return f"Check {self.name} failed{rows}: {self.message.rstrip('.')}. {self.what_to_do}"

    def render(self) -> str:
        """Return it as two lines of text."""
        rows = "" if self.rows is None else f", {self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        on = f" on {self.about}" if self.about else ""
        return f"{self.name}{on}{rows}: {self.message}\n    {self.what_to_do}"


def describe_dbt_failure(failure: "NodeFailure", warehouse_path: Path) -> FailedCheck:
    """Turn a failed dbt node into a failed check with its remedy."""
    if told := advise_on_words(failure.message):
        remedy = told
    elif failure.kind == "test" and failure.failing_rows is not None and failure.compiled_path:
        query = Path(failure.compiled_path).resolve()
        remedy = f"To see the rows: duckdb -readonly {warehouse_path} < {query} (the rule: {failure.path})."
    else:
        remedy = f"Mend dbt_project/{failure.path}, then run `dealbook refresh`."
    return FailedCheck(failure.name, failure.about, failure.failing_rows, failure.message, remedy)
