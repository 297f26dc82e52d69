"""Each chart draws the numbers that REST answers, shows them as a table too, and can be taken along as PNG and CSV."""

import csv
import io
import re
import struct
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from numpy import unique
from playwright.sync_api import Page, expect

from ledger.vocabulary import PipelineStage
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import ask_rest, list_rest

pytestmark = pytest.mark.browser

PERFORMANCE = "/agents/performance"


@pytest.fixture
def anna(office: Office) -> str:
    return office.agency.agents["Anna Lim"]


def open_charts(page: Page, office: Office, words: str = "?agent_id=team&period=365d") -> None:
    """Open the performance page and wait until its charts are drawn."""
    page.goto(f"{office.address}{PERFORMANCE}{words}")
    expect(page.locator("#chart-trend svg")).to_be_visible()


def read_series(page: Page, key: str) -> list[list[Any]]:
    """Return the data of each series that the chart has drawn."""
    place = page.locator(f"#chart-{key} .nicegui-echart")
    expect(place.locator("svg")).to_be_visible()
    drawn: list[list[Any]] = place.evaluate(
        "place => getElement(Number(place.id.slice(1))).chart.getOption().series.map(series => series.data)"
    )
    return drawn


def read_csv(page: Page, title: str) -> list[dict[str, str]]:
    """Press the chart's CSV button and return the rows that arrive."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {title} as CSV").click()
    written = Path(download.value.path()).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(written)))


def sum_up(page: Page, office: Office, read: Callable[[dict[str, Any]], Any], words: str = "") -> Any:
    """Return the sum over all agents of what `read` takes from REST's summary of each."""
    answers = [
        ask_rest(page, office, f"/performance/summary?agent_id={agent_id}{words}")
        for agent_id in office.agency.agents.values()
    ]
    return sum(read(answer) for answer in answers)


def test_the_team_is_the_sum_of_its_agents(manager_page: Page, office: Office) -> None:
    """A manager sees everyone first; counts and amounts are the agents' sums, the rate is made from the sums."""
    page = manager_page
    page.goto(f"{office.address}{PERFORMANCE}?period=365d")
    expect(page.locator(".page-head p")).to_contain_text("Everyone")
    words = "&period=365d"
    won = sum_up(page, office, lambda answer: answer["in_window"]["conversion_numerator"], words)
    closed = sum_up(page, office, lambda answer: answer["in_window"]["conversion_denominator"], words)
    gross = sum_up(page, office, lambda answer: Decimal(answer["as_of"]["gross_pipeline_value"]))
    assert closed > won > 0
    tile = page.locator(".headline")
    expect(tile.and_(page.locator('[data-metric="deals_closed_won"]'))).to_have_attribute("data-value", str(won))
    rate = tile.and_(page.locator('[data-metric="conversion_rate"]')).get_attribute("data-value")
    assert float(rate or 0) == pytest.approx(won / closed)
    expect(tile.and_(page.locator('[data-metric="gross_pipeline_value"]'))).to_have_attribute("data-value", str(gross))


def test_the_trend_draws_the_daily_series(manager_page: Page, office: Office, anna: str) -> None:
    """Each of the last 30 days carries REST's pipeline, and the deals won in the 30 days up to it."""
    open_charts(manager_page, office, f"?agent_id={anna}")
    manager_page.get_by_role("group", name="Range").get_by_role("button", name="30 days").click()
    expect(manager_page.locator("#chart-trend")).to_have_attribute("data-days", "30")
    newest = date.fromisoformat(manager_page.locator('input[type="date"]').input_value())
    first = newest - timedelta(days=59)
    answer = ask_rest(manager_page, office, f"/performance/snapshots?agent_id={anna}&from={first}")["items"]
    assert len(answer) == 60
    gross, weighted, won = read_series(manager_page, "trend")
    for then, now, *drawn in zip(answer[:30], answer[30:], gross, weighted, won, strict=True):
        assert [day for day, _ in drawn] == [now["snapshot_date"]] * 3
        figures = [float(now["gross_pipeline_value"]), float(now["weighted_pipeline_value"])]
        assert [value for _, value in drawn] == [*figures, now["deals_closed_won"] - then["deals_closed_won"]]


def test_open_value_by_stage_is_that_of_the_day(manager_page: Page, office: Office, anna: str) -> None:
    """The donut has a slice for each stage with open value, and they add up to the gross pipeline, on any day."""
    newest = ask_rest(manager_page, office, "/performance/leaderboard")["freshness"]["as_of_date"]
    for day in ("", f"&as_of={date.fromisoformat(newest) - timedelta(days=150)}"):
        open_charts(manager_page, office, f"?agent_id={anna}{day}")
        summary = ask_rest(manager_page, office, f"/performance/summary?agent_id={anna}{day}")["as_of"]
        slices = read_series(manager_page, "open-value")[0]
        gross = float(summary["gross_pipeline_value"])
        assert sum(part["value"] for part in slices) == pytest.approx(gross)
        for part in slices:
            assert f"{part['value'] / gross * 100:.1f} %" in part["name"]
        rows = read_csv(manager_page, "Open value by stage")
        assert sum(Decimal(row["gross_pipeline_value"]) for row in rows) == Decimal(summary["gross_pipeline_value"])
        assert sum(int(row["deals_open"]) for row in rows) == summary["deals_open"]
        names = [stage.value.replace("_", " ").capitalize() for stage in PipelineStage]
        assert [row["stage"] for row in rows] == [name for name in names if name in {row["stage"] for row in rows}]


def test_benchmarks_are_bars_beside_the_agent(manager_page: Page, office: Office, anna: str) -> None:
    """Each figure has the agent's bar with its number of deals, and a bar for each benchmark with its source."""
    open_charts(manager_page, office, f"?agent_id={anna}")
    items = list_rest(manager_page, office, f"/performance/comparison?agent_id={anna}")
    overall = [item for item in items if item["asset_type"] is None and item["deal_type"] is None]
    groups: dict[str, list[Any]] = {}
    for item in overall:
        groups.setdefault(item["metric_key"], []).append(item)
    drawn = read_series(manager_page, "benchmarks")
    assert len(drawn) == len(groups) > 1
    for bars, (metric, group) in zip(drawn, groups.items(), strict=True):
        scale = 1 if metric.endswith("_days") else 100
        values = [group[0]["agent_value"], *(item["benchmark_value"] for item in group)]
        assert [bar["value"] for bar in bars] == pytest.approx([value * scale for value in values], abs=0.01)
    words = manager_page.locator("#chart-benchmarks svg").text_content() or ""
    assert f"(n {overall[0]['n']})" in words
    assert overall[0]["source"] in words


def test_the_leaderboard_is_drawn_too(manager_page: Page, office: Office) -> None:
    """The table comes first; its picture ranks the agents by value won, as the CSV has them."""
    open_charts(manager_page, office)
    manager_page.get_by_role("button", name="Leaderboard as a table").click()
    drawn = read_series(manager_page, "leaderboard")[0]
    rows = read_csv(manager_page, "Leaderboard")
    assert drawn == sorted((float(row["won_value"]) for row in rows), reverse=True)
    assert {row["agent"] for row in rows} == set(office.agency.agents)


def test_an_agent_cannot_ask_for_the_team(visitors: Visitors, office: Office, anna: str) -> None:
    """Everyone is not offered to an agent, and asked for by address it is refused: their own figures come instead."""
    page = visitors.open(office.address, link=office.make_link(anna))
    for whose in ("team", office.agency.agents["Devi Nair"]):
        open_charts(page, office, f"?agent_id={whose}&period=as_of")
        expect(page.locator(".page-head p")).to_contain_text("Anna Lim")
        won = ask_rest(page, office, f"/performance/summary?agent_id={anna}")["as_of"]["deals_closed_won"]
        tile = page.locator('.headline[data-metric="deals_closed_won"]')
        expect(tile).to_have_attribute("data-value", str(won))
    expect(page.get_by_role("combobox", name="Agent")).to_have_count(0)
    expect(page.locator("#team tbody tr")).to_have_count(1)
    assert {row["agent"] for row in read_csv(page, "Leaderboard")} == {"Anna Lim"}
    page.goto(f"{office.address}{PERFORMANCE}/home")
    expect(page).to_have_url(f"{office.address}{PERFORMANCE}/pipeline")


def test_a_chart_can_be_kept_as_a_picture(manager_page: Page, office: Office, screenshots: Path) -> None:
    """The PNG has the chart at twice its size, its title and origin, in the colours of the page: not a blank."""
    open_charts(manager_page, office)
    with manager_page.expect_download() as download:
        manager_page.get_by_role("button", name="Download Open value by stage as PNG").click()
    assert re.fullmatch(r"open-value-\d{4}-\d\d-\d\d-log\d+\.png", download.value.suggested_filename)
    picture = Path(download.value.path()).read_bytes()
    (screenshots / "open-value.png").write_bytes(picture)
    width, height = struct.unpack(">II", picture[16:24])
    drawing = manager_page.locator("#chart-open-value svg").bounding_box()
    assert drawing is not None
    assert picture.startswith(b"\x89PNG") and width > 2 * drawing["width"] and height > 2 * drawing["height"]
    pixels = imread(io.BytesIO(picture), format="png")
    colours, counts = unique((pixels[..., :3] * 255).round().astype(int).reshape(-1, 3), axis=0, return_counts=True)
    broad = {tuple(colour) for colour, count in zip(colours.tolist(), counts, strict=True) if count > 100}
    for part in read_series(manager_page, "open-value")[0]:
        written = manager_page.evaluate(
            "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()",
            part["itemStyle"]["color"].removeprefix("var(").removesuffix(")"),
        )
        slice_colour = tuple(int(written[place : place + 2], 16) for place in (1, 3, 5))
        assert slice_colour in broad, f"the slice in {written} is missing from the picture"


def test_figures_leave_the_page_with_their_origin(manager_page: Page, office: Office) -> None:
    """Every row of a CSV says of which day, log and definitions it is."""
    open_charts(manager_page, office)
    freshness = ask_rest(manager_page, office, "/performance/leaderboard")["freshness"]
    rows = read_csv(manager_page, "Trend")
    assert len(rows) == 365
    manager_page.get_by_role("button", name="Trend as a table").click()
    shown = manager_page.locator("#chart-trend tbody tr")
    expect(shown).to_have_count(100)
    expect(manager_page.locator("#chart-trend .chart-note")).to_contain_text("The newest 100 of 365 rows")
    newest = shown.first.locator("td").nth(1)
    expect(newest).to_have_attribute("data-value", rows[-1]["gross_pipeline_value"])
    for row in rows:
        assert row["as_of_date"] == freshness["as_of_date"]
        assert row["log_size"] == str(freshness["log_size"])
        assert row["definition_version"] == freshness["definition_version"]


def test_the_funnel_is_that_of_the_windows_months(manager_page: Page, office: Office, anna: str) -> None:
    """Went on, still in it and dropped off are REST's, for the months of the window, and make up who entered."""
    open_charts(manager_page, office, f"?agent_id={anna}&period=365d")
    summary = ask_rest(manager_page, office, f"/performance/summary?agent_id={anna}&period=365d")["window"]
    path = f"/performance/funnel?agent_id={anna}&from={summary['from']}&to={summary['to']}"
    steps = ask_rest(manager_page, office, path)["items"]
    assert [step["stage"] for step in steps] == [stage for stage in PipelineStage if stage.is_open]
    parts = [[bar["value"] for bar in bars] for bars in read_series(manager_page, "funnel")]
    for step, reached, pending, dropped in zip(steps, *parts, strict=True):
        assert (reached, pending) == (step["reached_n"], step["pending_n"])
        assert reached + pending + dropped == step["entered_n"]
    assert sum(parts[2]) > 0, "the agency must have lost deals for a drop-off to show"
    manager_page.get_by_role("button", name="Funnel as a table").click()
    entered = manager_page.locator("#chart-funnel tbody tr td:nth-child(2)")
    expect(entered).to_have_text([f"{step['entered_n']:,}" for step in steps])


def test_cycles_are_counted_in_three_ways(manager_page: Page, office: Office) -> None:
    """Mean, median and Kaplan-Meier median of all deals, and of each kind in the table, are those of REST."""
    open_charts(manager_page, office)
    items = list_rest(manager_page, office, "/performance/cycle-times")
    names = ("avg_cycle_days", "median_cycle_days", "km_median_cycle_days")
    drawn = read_series(manager_page, "cycles")
    assert [marks[0] for marks in drawn] == [[items[0][name], 0] for name in names]
    rows = read_csv(manager_page, "Days to win")
    won = {(item["asset_type"], item["deal_type"]): item for item in items if item["won_n"]}
    assert len(rows) == len(won) > 8
    written = {tuple(row[name] for name in ("won_n", "open_n", *names)) for row in rows}
    assert written == {
        tuple("" if item[name] is None else str(item[name]) for name in ("won_n", "open_n", *names))
        for item in won.values()
    }


def test_every_chart_follows_the_day_asked_about(manager_page: Page, office: Office, anna: str) -> None:
    """As of an earlier day, days to win, sources, funnel and benchmarks are REST's of that day, not today's."""
    newest = ask_rest(manager_page, office, "/performance/leaderboard")["freshness"]["as_of_date"]
    day = date.fromisoformat(newest) - timedelta(days=200)
    open_charts(manager_page, office, f"?agent_id={anna}&period=365d&as_of={day}")
    words = f"agent_id={anna}&as_of={day}"
    then, now = (
        list_rest(manager_page, office, f"/performance/cycle-times?{asked}") for asked in (words, f"agent_id={anna}")
    )
    assert then[0]["won_n"] < now[0]["won_n"], "Anna must have won something since"
    names = ("avg_cycle_days", "median_cycle_days", "km_median_cycle_days")
    assert [marks[0][0] for marks in read_series(manager_page, "cycles")] == [then[0][name] for name in names]
    total, *sources = list_rest(manager_page, office, f"/performance/lead-sources?{words}")
    rows = read_csv(manager_page, "Lead sources")
    assert [Decimal(row["won_value"]) for row in rows] == [
        Decimal(item["won_value"])
        for item in [total, *sorted(sources, key=lambda item: -Decimal(item["confirmed_commission_amount"]))]
    ]
    assert {row["as_of_date"] for row in rows} == {str(day)}
    window = ask_rest(manager_page, office, f"/performance/summary?{words}&period=365d")["window"]
    steps = ask_rest(manager_page, office, f"/performance/funnel?{words}&from={window['from']}&to={window['to']}")[
        "items"
    ]
    reached = [bar["value"] for bar in read_series(manager_page, "funnel")[0]]
    assert reached == [step["reached_n"] for step in steps]
    items = list_rest(manager_page, office, f"/performance/comparison?{words}")
    overall = [item for item in items if item["asset_type"] is None and item["deal_type"] is None]
    manager_page.get_by_role("button", name="Against benchmarks as a table").click()
    deals = manager_page.locator("#benchmarks tbody tr td:nth-child(5)")
    expect(deals).to_have_text([f"{item['n']:,}" for item in overall])


def test_calibration_is_hidden_under_twenty_deals(manager_page: Page, office: Office) -> None:
    """A bin is a point with its n where REST shows a score; where it hides one the page hides it too, and says so."""
    agents = office.agency.agents
    for words, whose in (("scope=team", "team"), (f"agent_id={agents['Goh Kai Xiang']}", agents["Goh Kai Xiang"])):
        open_charts(manager_page, office, f"?agent_id={whose}")
        items = ask_rest(manager_page, office, f"/performance/calibration?{words}")["items"]
        bins = [item for item in items if item["confidence_bin"] is not None]
        shown = [item for item in bins if item["won_share"] is not None]
        panel = manager_page.get_by_role("region", name="Calibration of confidence")
        if not shown:
            expect(panel.locator(".chart-empty")).to_contain_text("no bin has 20")
            expect(panel.locator("svg")).to_have_count(0)
            continue
        points = read_series(manager_page, "calibration")[1]
        assert len(shown) < len(bins) or whose == "team"
        for point, item in zip(points, shown, strict=True):
            assert point["value"] == pytest.approx([item["mean_confidence"] * 100, item["won_share"] * 100], abs=0.01)
            assert point["label"]["formatter"] == f"n {item['n']}"
            assert item["n"] >= 20


def test_lead_sources_tell_their_return(manager_page: Page, office: Office, anna: str) -> None:
    """Commission and cost of each source are REST's, the most commission first; the CSV begins with the total."""
    open_charts(manager_page, office, f"?agent_id={anna}")
    total, *sources = list_rest(manager_page, office, f"/performance/lead-sources?agent_id={anna}")
    sources.sort(key=lambda item: -Decimal(item["confirmed_commission_amount"]))
    drawn = read_series(manager_page, "sources")
    assert [bar["value"] for bar in drawn[0]] == [float(item["confirmed_commission_amount"]) for item in sources]
    assert any(item["cost_amount"] for item in sources), "the reference costs must name a source of Anna's"
    assert [bar["value"] for bar in drawn[1]] == [
        None if item["cost_amount"] is None else float(item["cost_amount"]) for item in sources
    ]
    rows = read_csv(manager_page, "Lead sources")
    assert rows[0]["lead_source"] == "All sources"
    assert Decimal(rows[0]["won_value"]) == Decimal(total["won_value"])
    for row, item in zip(rows[1:], sources, strict=True):
        assert row["roi"] == ("" if item["roi"] is None else str(item["roi"]))
    words = manager_page.locator("#chart-sources svg").text_content() or ""
    assert "return" in words and "no cost known" in words
