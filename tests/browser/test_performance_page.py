"""The performance page says what REST says, whatever window, agent or day is asked about."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Office
from tests.browser.desk import list_rest

pytestmark = pytest.mark.browser

IN_WINDOW = ("deals_closed_won", "conversion_rate", "deals_closed_lost", "avg_cycle_days", "avg_won_value")
AS_OF = ("deals_open", "gross_pipeline_value", "weighted_pipeline_value", "disputed_commission_amount")


def read_summary(page: Page, office: Office, agent_id: str, **query: str) -> dict[str, Any]:
    """Return what REST answers to the manager."""
    answer = page.request.get(
        f"{office.address}/api/v1/performance/summary",
        params={"agent_id": agent_id, **query},
        headers={"Authorization": f"Bearer {office.agency.manager_token}"},
    )
    assert answer.ok, answer.text()
    found: dict[str, Any] = answer.json()
    return found


def expect_figures(page: Page, summary: dict[str, Any]) -> None:
    """Every tile holds the figure that REST gives, and shows it."""
    for keys, figures in ((IN_WINDOW, summary["in_window"]), (AS_OF, summary["as_of"])):
        for key in keys:
            value = figures[key]
            tile = page.locator(f'.headline[data-metric="{key}"]')
            expect(tile).to_have_attribute("data-value", "" if value is None else str(value))
            if isinstance(value, int):
                expect(tile.locator(".headline-value")).to_have_text(f"{value:,}")


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("Anna Lim", "30d"),
        ("Anna Lim", "90d"),
        ("Anna Lim", "as_of"),
        ("Hendrik van der Berg-Østergaard", "365d"),
        ("Goh Kai Xiang", "as_of"),
    ],
)
def test_the_figures_are_those_of_rest(manager_page: Page, office: Office, name: str, period: str) -> None:
    """Page and REST read the same published file by the same functions, so they agree to the digit."""
    agent_id = office.agency.agents[name]
    manager_page.goto(f"{office.address}/agents/performance?agent_id={agent_id}&period={period}")
    summary = read_summary(manager_page, office, agent_id, period=period)
    expect(manager_page.locator(".page-head")).to_contain_text(name)
    expect_figures(manager_page, summary)
    for row in summary["by_currency"]:
        line = manager_page.locator(f'#currencies tr[data-currency="{row["currency"]}"]')
        titles = line.locator("td[title]")
        expect(titles.nth(0)).to_have_attribute("title", f"{row['currency']} {float(row['gross_pipeline_value']):,.2f}")
        expect(line.locator("td").nth(3)).to_have_text(f"{row['deals_closed_won']:,}")


def test_choosing_window_agent_and_day_needs_no_reload(manager_page: Page, office: Office) -> None:
    """The controls change figures and address together, and the address alone brings the same page back."""
    page = manager_page
    page.goto(f"{office.address}/agents/performance")
    windows = page.get_by_role("group", name="Window")
    windows.get_by_role("button", name="365 days").click()
    page.get_by_role("combobox", name="Agent").click()
    page.get_by_role("option", name="Devi Nair").click()
    devi = office.agency.agents["Devi Nair"]
    expect(page.locator(".page-head")).to_contain_text("Devi Nair")
    newest = page.locator('input[type="date"]').input_value()
    earlier = f"{int(newest[:4]) - 1}{newest[4:8]}01"
    page.locator('input[type="date"]').fill(earlier)
    expect(page).to_have_url(f"{office.address}/agents/performance?agent_id={devi}&period=365d&as_of={earlier}")
    summary = read_summary(page, office, devi, period="365d", as_of=earlier)
    expect_figures(page, summary)
    page.reload()
    expect(windows.get_by_role("button", name="365 days")).to_have_attribute("aria-pressed", "true")
    expect_figures(page, summary)


def test_the_trend_is_drawn_and_described(manager_page: Page, office: Office) -> None:
    """The chart has a line for each series, and words that say the same to those who cannot see it."""
    manager_page.goto(f"{office.address}/agents/performance")
    chart = manager_page.locator('#chart-trend [role="img"][aria-label^="From "]')
    expect(chart.locator("svg")).to_be_visible()
    expect(chart.locator('svg path[stroke="var(--accent)"]').first).to_be_attached()
    expect(chart.locator('svg path[stroke="var(--won)"]').first).to_be_attached()
    ranges = manager_page.get_by_role("group", name="Range")
    ranges.get_by_role("button", name="30 days").click()
    expect(ranges.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")


def test_the_team_is_in_order_and_leads_to_its_members(manager_page: Page, office: Office) -> None:
    """Best first by the column chosen; a name leads to that agent's figures, in the same window."""
    page = manager_page
    page.goto(f"{office.address}/agents/performance?period=as_of")
    rows = page.locator("#team tbody tr")
    expect(rows).to_have_count(len(office.agency.agents))
    won = [int(text.replace(",", "")) for text in page.locator("#team tbody td:nth-child(2)").all_inner_texts()]
    assert won == sorted(won, reverse=True)
    page.get_by_role("button", name="Weighted pipeline").click()
    expect(page.locator('#team th[aria-sort="descending"]')).to_contain_text("Weighted pipeline")
    weighted = [int(text.replace(",", "")) for text in page.locator("#team tbody td:last-child").all_inner_texts()]
    assert weighted == sorted(weighted, reverse=True)
    page.locator("#team").get_by_role("link", name="Goh Kai Xiang").click()
    expect(page.locator(".page-head")).to_contain_text("Goh Kai Xiang")
    expect(page.get_by_role("button", name="To date")).to_have_attribute("aria-pressed", "true")


def test_benchmarks_stand_beside_the_agent(manager_page: Page, office: Office) -> None:
    """Each comparison shows both figures, the source and the number of deals behind them, as REST has them."""
    agent_id = office.agency.agents["Anna Lim"]
    manager_page.goto(f"{office.address}/agents/performance?agent_id={agent_id}")
    items = list_rest(manager_page, office, f"/performance/comparison?agent_id={agent_id}")
    overall = [item for item in items if item["asset_type"] is None and item["deal_type"] is None]
    assert overall
    manager_page.get_by_role("button", name="Against benchmarks as a table").click()
    rows = manager_page.locator("#benchmarks tbody tr")
    expect(rows).to_have_count(len(overall))
    for index, item in enumerate(overall):
        cells = rows.nth(index).locator("td")
        is_days = item["metric_key"].endswith("_days")
        for place, key in enumerate(("agent_value", "benchmark_value")):
            value = float(item[key])
            expect(cells.nth(place)).to_have_text(f"{value:,.1f}" if is_days else f"{value * 100:.1f} %")
        expect(cells.nth(3)).to_have_text(f"{item['n']:,}")
        expect(cells.nth(4)).to_contain_text(item["source"])
    manager_page.get_by_role("button", name="By type too").click()
    expect(rows).to_have_count(len(items))


def test_the_chip_says_what_the_numbers_cover(manager_page: Page, office: Office) -> None:
    """Whoever reads a number can see of which day it is, of how much of the log, and how old."""
    freshness = read_summary(manager_page, office, office.agency.agents["Anna Lim"])["freshness"]
    chip = manager_page.locator(".freshness")
    expect(chip).to_contain_text(f"log {freshness['log_size']:,}, published")
    expect(chip).to_contain_text(freshness["as_of_date"][:4])
    expect(chip).to_have_attribute("data-state", "fresh")
