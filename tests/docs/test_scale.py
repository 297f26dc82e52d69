"""The guide to scale names what there is: settings, limits, verbs, and the macros that another engine would need."""

import re

import pytest
import yaml

from dealbook import BenchPart
from ingestion.warehouse import MEMORY_LIMIT
from ledger.settings import PROJECT_DIR, Settings

DOCS = PROJECT_DIR / "docs"
GUIDE = (DOCS / "scale.md").read_text()


def test_every_setting_named_exists() -> None:
    """A setting that was renamed is renamed here, too."""
    named = set(re.findall(r"DEALBOOK_([A-Z_]+)", GUIDE))
    assert {"HOME", "LEDGER_URL", "KEEP_PUBLISHED"} <= named <= {field.upper() for field in Settings.model_fields}


def test_every_macro_that_another_engine_needs_is_named() -> None:
    """Whoever adds a dispatched macro says so in the guide: it is one more to write for another engine."""
    texts = [path.read_text() for path in (PROJECT_DIR / "dbt_project" / "macros").rglob("*.sql")]
    dispatched = {name for text in texts for name in re.findall(r"adapter\.dispatch\('(\w+)'\)", text)}
    [row] = [line for line in GUIDE.splitlines() if line.startswith("| models, data tests |")]
    assert dispatched == set(re.findall(r"`(\w+)`", row))


def test_the_memory_limit_is_the_one_that_all_use() -> None:
    """Landing, publishing and dbt keep to the same limit, and the guide says which."""
    profile = yaml.safe_load(
        (PROJECT_DIR / "dbt_project" / "profiles.yml").read_text().replace("{{", "").replace("}}", "")
    )
    assert profile["dealbook"]["outputs"]["local"]["config_options"]["memory_limit"] == MEMORY_LIMIT == "2GB"
    assert f"in {MEMORY_LIMIT.replace('GB', ' GB')} of DuckDB's memory" in GUIDE


def test_the_bench_that_it_asks_for_is_there() -> None:
    """The part of the bench has not been renamed."""
    assert set(re.findall(r"--only (\w+)", GUIDE)) <= {part.value for part in BenchPart}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", GUIDE))
def test_every_link_leads_somewhere(link: str) -> None:
    """To a page, and to a heading that it has."""
    page, _, anchor = link.partition("#")
    text = (DOCS / page).read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    assert not anchor or anchor in headings


def test_the_readme_leads_here() -> None:
    """Nobody finds a page that nothing links to."""
    assert "(docs/scale.md)" in (PROJECT_DIR / "README.md").read_text()
