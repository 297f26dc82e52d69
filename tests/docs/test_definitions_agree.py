"""A number is defined once: the guide, the dbt docs and the contracts say the same, word for word."""

import re
from typing import Any

import yaml

from ledger.settings import PROJECT_DIR

MODELS = PROJECT_DIR / "dbt_project" / "models"
BLOCKS = {
    name: " ".join(text.split())
    for name, text in re.findall(
        r"{% docs (\w+) %}\n(.*?)\n{% enddocs %}",
        (PROJECT_DIR / "dbt_project" / "docs" / "columns.md").read_text(),
        flags=re.DOTALL,
    )
}


def read_model(name: str) -> dict[str, Any]:
    [model] = yaml.safe_load((MODELS / "marts" / f"{name}.yml").read_text())["models"]
    return dict(model)


def test_the_guide_defines_each_number_in_the_words_of_the_dbt_docs() -> None:
    """Whoever changes a doc block changes the guide, and the other way round; no number is left out."""
    guide = (PROJECT_DIR / "docs" / "read-the-numbers.md").read_text()
    section = guide.partition("## What each number means")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, flags=re.MULTILINE))
    names = [column["name"] for column in read_model("agent_performance_snapshots")["columns"]]
    assert list(told) == names
    assert told == {name: BLOCKS[name] for name in names}


def test_the_contract_takes_its_descriptions_from_the_doc_blocks() -> None:
    """The site, the Dagster UI and the guide therefore have one source."""
    columns = read_model("agent_performance_snapshots")["columns"]
    assert {column["name"]: column["description"].split("'")[1] for column in columns} == {
        column["name"]: column["name"] for column in columns
    }
    assert all(column["description"].startswith("{{ doc('") for column in columns)


def test_every_mart_says_who_reads_it() -> None:
    """The published file, REST and the workspace stand on all marts, and the docs site shows it."""
    marts = {path.stem for path in (MODELS / "marts").glob("*.sql")}
    exposures = yaml.safe_load((MODELS / "exposures.yml").read_text())["exposures"]
    read = {exposure["name"]: set(re.findall(r"ref\('(\w+)'\)", str(exposure["depends_on"]))) for exposure in exposures}
    assert read["published_file"] == read["rest_api"] == read["workspace"] == marts
    assert read["notebook"] < marts
