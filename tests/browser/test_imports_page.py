"""A manager brings files in from the browser: a mapping, the first rows, a dry run, the import, its rejects."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.agency import HOSTILE
from tests.browser.conftest import Office
from tests.browser.desk import ask_rest, log_size
from tests.support.crm_export import DEALS, MAPPING

pytestmark = pytest.mark.browser
PATH = "/agents/performance/imports"


def send(page: Page, *paths: Path) -> None:
    page.locator('.drop-zone input[type="file"]').set_input_files([str(path) for path in paths])


def row(number: int, stage: str = "Offer", client: str = "Acme") -> list[str]:
    return [f"B{number}", "Anna Lim", client, stage, "1,000.00", "40", f"2024-01-{number:02}", ""]


def write_deals(folder: Path, name: str, *rows: list[str]) -> Path:
    path = folder / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([DEALS.split(","), *rows])
    return path


def test_an_import_with_rejects_from_end_to_end(manager_page: Page, office: Office, tmp_path: Path) -> None:
    """Preview, dry run and report agree with REST; hostile words are shown as text; rejects can be had."""
    page = manager_page
    page.get_by_role("link", name="Imports").click()
    deals = write_deals(tmp_path, "deals.csv", row(1), row(2, stage="Nonsense"), row(3, client=HOSTILE))
    send(page, deals)
    trouble = page.locator(".import-trouble")
    expect(trouble).to_contain_text("None of the mappings")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    (tmp_path / "tiny.toml").write_text(MAPPING)
    send(page, tmp_path / "tiny.toml")
    preview = page.get_by_role("region", name="First rows of deals.csv")
    expect(preview.locator('tr[data-line="2"]')).to_contain_text("1,000.00")
    expect(preview.locator('tr[data-line="3"]')).to_contain_text("would be rejected: Stage")
    expect(preview.locator('tr[data-line="4"]')).to_contain_text(HOSTILE)

    before = log_size(office)
    page.get_by_role("button", name="Try it").click()
    report = page.locator(".import-outcome")
    expect(report).to_have_attribute("data-outcome", "dry_run")
    expect(report).to_contain_text("2 of 3 rows can go in.")
    assert log_size(office) == before
    page.get_by_role("button", name="Import", exact=True).click()
    expect(report).to_have_attribute("data-outcome", "imported")
    expect(report).to_contain_text("2 of 3 rows are in.")
    assert log_size(office) > before
    with page.expect_download() as download:
        report.get_by_role("link", name="Download 1 rejected row").click()
    [reject] = csv.DictReader(download.value.path().read_text("utf-8").splitlines())
    assert (reject["file"], reject["line"], reject["value"]) == ("deals.csv", "3", "Nonsense")
    latest = ask_rest(page, office, "/imports?limit=1")["items"][0]
    assert (latest["outcome"], latest["accepted"], latest["rejected"]) == ("imported", 2, 1)
    listed = page.locator(f'[data-import="{latest["id"]}"]')
    expect(listed).to_have_attribute("data-outcome", "imported")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(report).to_contain_text("no log entry written")


def test_a_mapping_is_proposed_edited_and_used(manager_page: Page, office: Office, tmp_path: Path) -> None:
    """What the proposal lacks is said; filled in, the files can be imported, all or nothing if so wished."""
    page = manager_page
    page.goto(office.address + PATH)
    send(page, write_deals(tmp_path, "proposed.csv", row(11), row(12)))
    page.get_by_label("What the columns mean").select_option("propose")
    area = page.get_by_label("Your mapping")
    expect(area).to_have_value(re.compile("source = "))
    expect(page.locator(".mapping-notes").first).to_contain_text("asset_type")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    text = area.input_value().replace('# TODO asset_type = "…"', 'asset_type = "office"')
    area.fill(text.replace('# TODO deal_type = "…"', 'deal_type = "lease"'))
    area.blur()
    expect(page.get_by_role("region", name="First rows of proposed.csv")).to_contain_text("Proposal")
    page.get_by_label("All or nothing").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".import-report")).to_contain_text("2 of 2 rows are in.")
    assert ask_rest(page, office, "/imports?limit=1")["items"][0]["strict"] is True


def test_reference_figures_are_told_by_their_columns(manager_page: Page, office: Office, tmp_path: Path) -> None:
    """They need no mapping; a file put away is not imported."""
    page = manager_page
    page.goto(office.address + PATH)
    (tmp_path / "rates.csv").write_text(
        "from_currency,to_currency,rate,effective_date,source\nUSD,SGD,1.35,2020-06-15,Desk\n"
    )
    send(page, tmp_path / "rates.csv")
    entry = page.locator('[data-file="rates.csv"]')
    expect(entry).to_contain_text("Fx rates")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".import-report")).to_contain_text("1 of 1 rows can go in.")
    entry.get_by_role("button", name="Put rates.csv away").click()
    expect(entry).to_have_count(0)
    expect(page.get_by_role("button", name="Import", exact=True)).to_have_count(0)
