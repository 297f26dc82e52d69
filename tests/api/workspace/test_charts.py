"""What a chart hands over is exact, says where it comes from, and starts no formula; what it hides it says."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from api.figures import CalibrationScore
from api.published import Publication
from api.workspace.calibration_chart import chart_calibration
from api.workspace.chart_panel import Chart, Column, Origin, write_csv

DAY = date(2025, 6, 30)
PUBLICATION = Publication(3, 1200, None, DAY, "d" * 64, "Asia/Singapore", "SGD", None, None, datetime.now(UTC), None)


def export(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    columns = [Column(f"column_{place}", "") for place in range(len(rows[0]))]
    chart = Chart("key", "Title", "", "", {}, columns, rows)
    written = write_csv(chart, Origin("Anna", None, DAY, PUBLICATION)).decode()
    return list(csv.reader(io.StringIO(written)))[1:]


def test_figures_are_exact_and_carry_their_origin() -> None:
    """Money keeps its cents, a rate its digits, nothing is empty, and each row says day, log, definitions."""
    (row,) = export([("Office", Decimal("-1234567.80"), 0.1 + 0.2, None, date(2025, 1, 2))])
    assert row == ["Office", "-1234567.80", "0.30000000000000004", "", "2025-01-02", "2025-06-30", "1200", "d" * 64]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    """A name that a spreadsheet would run is quoted; a negative number stays one."""
    (row,) = export([(text, -1)])
    assert row[:2] == [f"'{text}", "-1"]


def score(low: str | None, n: int) -> CalibrationScore:
    is_shown = n >= 20
    share, brier = (0.5, 0.2) if is_shown else (None, None)
    mean = None if low is None else float(low) + 0.1
    bound = None if low is None else float(low)
    return CalibrationScore("team", None, None, None, bound, n, n // 2 if is_shown else None, mean, share, brier)


def test_bins_under_twenty_deals_are_hidden_and_counted() -> None:
    """A bin without a score makes no point; the chart says how many there are, and why there is none at all."""
    some = chart_calibration([score(None, 45), score("0.00", 25), score("0.40", 20), score("0.80", 19)], DAY)
    assert [point["label"]["formatter"] for point in some.options["series"][1]["data"]] == ["n 25", "n 20"]
    assert "1 bin not drawn: fewer than 20 deals" in some.notes[0]
    assert some.empty == ""
    none = chart_calibration([score(None, 19), score("0.00", 19)], DAY)
    assert "19 deals" in none.empty and "no bin has 20" in none.empty
    assert "No closed deal" in chart_calibration([], DAY).empty
