"""A chart with the figures behind it: drawn, as a table, as a picture to keep, and as a CSV file.

Every chart of the analytics is a `Chart`. Whoever cannot see it, or has no mouse, presses "Table" and gets the same
figures in words and numbers; whoever wants to go on working with them takes the CSV, in which nothing is rounded.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from nicegui import ui

from api.published import Publication
from api.workspace import wording
from api.workspace.elements import box, cell, panel, text

# A page of a thousand rows takes seconds to draw and nobody reads it.
LONGEST_TABLE = 100
# What a spreadsheet would run as a formula; names and sources come from outside.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a chart: its name in the CSV, its title in the table, and how people read it."""

    name: str
    title: str
    write: Callable[[Any], str] = str
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose figures, of which days, out of which published file: what stands on everything that leaves the page."""

    who: str
    first: date | None
    last: date
    publication: Publication

    @property
    def words(self) -> str:
        """One line for under a picture."""
        days = (
            f"{wording.day(self.first)} to {wording.day(self.last)}" if self.first else f"to {wording.day(self.last)}"
        )
        found = self.publication
        return f"{self.who}, {days} · log {found.log_size:,}, definitions {found.definition_version[:12]}"

    def name_file(self, key: str, ending: str) -> str:
        """Return a file name that says what is in it; who it is about stays out, for names may be anything."""
        return f"{key}-{self.last.isoformat()}-log{self.publication.log_size}.{ending}"


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, the words that say the same, and the figures behind both; `empty` says why there are none.

    The rows of a series are days, oldest first; its table begins with the newest. `picture_notes` are about what the
    picture leaves out, and go with it.
    """

    key: str
    title: str
    explanation: str
    words: str
    options: dict[str, Any]
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    empty: str = ""
    height: int = 300
    notes: Sequence[str] = ()
    picture_notes: Sequence[str] = ()
    is_series: bool = False


def show_chart(
    chart: Chart,
    origin: Origin,
    *,
    classes: str = "",
    controls: Callable[[], None] | None = None,
    draw_table: Callable[[], None] | None = None,
    as_table: bool = False,
) -> None:
    """Draw a chart in a panel of its own with its table, picture and CSV; `draw_table` replaces the plain table."""
    with panel(chart.title, chart.explanation, f"panel-chart {classes}") as head:
        if chart.empty:
            text("p", chart.empty, "chart-empty")
            return
        place = box("div", "chart-place", id=f"chart-{chart.key}")
        for note in chart.notes:
            text("p", note, "chart-note")
    place.props["data-title"] = chart.title
    place.props["data-origin"] = origin.words
    place.props["data-days"] = str((origin.last - origin.first).days + 1) if origin.first else ""
    place.props["data-file"] = origin.name_file(chart.key, "png")
    with head, box("div", "chart-tools"):
        if controls:
            controls()
        toggle = _tool("Table", f"{chart.title} as a table")
        picture = _tool("PNG", f"Download {chart.title} as PNG")
        sheet = _tool("CSV", f"Download {chart.title} as CSV")

    def draw(is_table: bool) -> None:
        place.clear()
        toggle.props["aria-pressed"] = "true" if is_table else "false"
        picture.props["hidden"] = is_table
        toggle.update()
        picture.update()
        with place:
            if not is_table:
                _draw_picture(chart)
            elif draw_table:
                draw_table()
            else:
                _draw_table(chart)

    file_name = origin.name_file(chart.key, "csv")
    toggle.on("click", lambda: draw(toggle.props["aria-pressed"] == "false"))
    picture.on("click", js_handler=f"() => dealbookCharts.savePicture('chart-{chart.key}')")
    sheet.on("click", lambda: ui.download.content(write_csv(chart, origin), file_name, "text/csv"))
    draw(as_table)


def write_csv(chart: Chart, origin: Origin) -> bytes:
    """Return the figures as CSV in UTF-8: exact, with the day, log and definitions they come from on every row."""
    found = origin.publication
    stamp = {"as_of_date": origin.last, "log_size": found.log_size, "definition_version": found.definition_version}
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow([column.name for column in chart.columns] + list(stamp))
    for row in chart.rows:
        writer.writerow([_plain(value) for value in (*row, *stamp.values())])
    return written.getvalue().encode("utf-8")


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float | Decimal):
        return str(value)
    written = value.isoformat() if isinstance(value, date) else str(value)
    return f"'{written}" if written.startswith(_FORMULA_STARTS) else written


def _tool(words: str, label: str) -> ui.element:
    return text("button", words, "tool", type="button", aria_label=label)


def _draw_picture(chart: Chart) -> None:
    with box("div", role="img", aria_label=chart.words):
        ui.echart(chart.options, renderer="svg").classes("chart").style(f"height: {chart.height}px")
    for note in chart.picture_notes:
        text("p", note, "chart-note")


def _draw_table(chart: Chart) -> None:
    rows = (chart.rows[::-1] if chart.is_series else chart.rows)[:LONGEST_TABLE]
    if len(rows) < len(chart.rows):
        which = "The newest" if chart.is_series else "The first"
        text("p", f"{which} {len(rows):,} of {len(chart.rows):,} rows; the CSV has them all.", "chart-note")
    label = f"{chart.title} as a table"
    with box("div", "table-scroll table-tall", tabindex="0", role="region", aria_label=label), box("table", "table"):
        with box("thead"), box("tr"):
            for column in chart.columns:
                text("th", column.title, "text" if column.is_text else "", scope="col")
        with box("tbody"):
            for row in rows:
                with box("tr"):
                    for place, (column, value) in enumerate(zip(chart.columns, row, strict=True)):
                        shown = wording.NOTHING if value is None else column.write(value)
                        if place == 0:
                            text("th", shown, scope="row")
                        else:
                            cell(shown, is_text=column.is_text, data_value=_plain(value))
