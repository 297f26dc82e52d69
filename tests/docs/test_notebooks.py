"""The notebooks in docs/ run as they stand against a published file, and are kept without anybody's outputs."""

from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ledger.settings import PROJECT_DIR
from tests.support.published_file import ANNA, publish_sample

NOTEBOOKS = sorted((PROJECT_DIR / "docs" / "notebooks").glob("*.ipynb"))
COHORT: dict[str, Any] = {
    "agent_id": ANNA,
    "asset_type": "office",
    "deal_type": "lease",
    "stage": "proposal",
    "stage_order": 4,
    "cohort_month": date(2025, 5, 1),
    "entered_n": 4,
    "reached_n": 3,
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Nobody's figures are in the repository, and a change shows as a change of the text alone."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


def test_the_published_numbers_are_read_with_duckdb_and_polars_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell runs, the main numbers are those of the file, and two plots are drawn; nothing of ours is imported."""
    publish_sample(tmp_path / "published", extra={"stage_conversion": [COHORT | {"log_size": 100}]})
    monkeypatch.setenv("DEALBOOK_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    notebook = nbformat.read(PROJECT_DIR / "docs" / "notebooks" / "published-numbers.ipynb", as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert not [word for word in ("api", "ledger", "ingestion", "orchestration") if f"import {word}" in source]
    # The kernel is the interpreter of this test, and works in an empty folder.
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "\n".join(output["data"].get("text/plain", "") for output in outputs if "data" in output)
    assert "Anna Lim" in shown
    assert "0.6" in shown  # six won of ten decided
    assert "6000.00" in shown
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 2
