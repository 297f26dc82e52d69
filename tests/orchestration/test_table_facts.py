"""What the Dagster UI shows of a table: columns, rows over time, a preview, a plot, and where its columns come from."""

import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import unquote

import dagster as dg
import duckdb
import pytest

from orchestration.column_lineage import build_lineage, read_lineage
from orchestration.dbt_in_process import load_manifest_json
from orchestration.instance import open_instance
from orchestration.plots import PLOTS, SHOWN_AT_ONCE, Plot, draw_in_markdown, plot_mart, shorten
from tests.orchestration.conftest import Office
from tests.support.living_ledger import append_deals
from tests.support.published_file import create_marts, read_contracts


def picture_in(markdown: str) -> str:
    """The SVG document in an image's address."""
    return unquote(markdown.partition("(<data:image/svg+xml,")[2].removesuffix(">)"))


def words_of(drawing: str) -> list[str | None]:
    """The words of an SVG document, which must be well-formed."""
    found = ET.fromstring(drawing).iter()  # noqa: S314 - ours
    return [element.text for element in found if element.tag.endswith(("text", "tspan")) and element.text]


@pytest.fixture(scope="module")
def marts() -> duckdb.DuckDBPyConnection:
    """Every mart as its contract has it, empty."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA marts; USE marts")
    create_marts(connection)
    connection.execute("USE main")
    return connection


def test_every_mart_has_a_plot() -> None:
    """And no plot is of a mart that is not there."""
    assert set(PLOTS) == set(read_contracts())


@pytest.mark.parametrize("mart", sorted(PLOTS))
def test_each_plot_s_query_fits_its_mart(marts: duckdb.DuckDBPyConnection, mart: str) -> None:
    """It reads columns that are there; with nothing to draw there is no picture."""
    marts.execute("USE marts")
    marts.execute(PLOTS[mart].query)
    assert plot_mart(marts, mart) is None


@pytest.mark.parametrize("form", ["bars", "line"])
def test_a_plot_is_shown_at_once(form: Any) -> None:
    """Well-formed whatever the labels say, title and figures to read; short enough for the UI not to fold it away."""
    points = [("<Walk-in> & 'co'", -1.5), ("a very long label that is cut", 1234567.0), ("none", 0.0)] * 130
    markdown = draw_in_markdown(Plot("Won & lost", "", form), points)
    assert len(markdown) < SHOWN_AT_ONCE == 1000
    words = words_of(picture_in(markdown))
    assert "Won & lost" in words
    assert any("<Walk-in> & 'co'" in str(line) for line in words)
    if form == "bars":
        assert words[-1] == f"and {390 - (len(words) - 2)} more"
        assert len(words) >= 6
    else:
        assert picture_in(markdown).count(" ") > 50, "a line of a few points only"


def test_plots_of_real_rows_are_drawn_and_renamed_columns_cost_no_refresh(marts: duckdb.DuckDBPyConnection) -> None:
    """Markdown with the picture in it; a mart that no longer fits has none."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.deals (pipeline_stage VARCHAR, status VARCHAR)")
    connection.execute(
        "INSERT INTO marts.deals VALUES ('proposal', 'open'), ('proposal', 'open'), ('closed_won', 'won')"
    )
    found = plot_mart(connection, "deals")
    assert found is not None
    assert words_of(picture_in(found)) == ["Open deals by stage", "proposal 2"]
    connection.execute("ALTER TABLE marts.deals RENAME status TO state")
    assert plot_mart(connection, "deals") is None
    assert plot_mart(connection, "unheard_of") is None


def test_numbers_are_short() -> None:
    assert [shorten(value) for value in (0.6333, 12, 12345, 2_500_000, 3e9)] == ["0.633", "12", "12.3k", "2.5M", "3G"]


def test_columns_rows_preview_and_lineage_stand_beside_what_a_refresh_built(office: Office) -> None:
    """Types also of views without a contract; lineage down to the raw columns, once it has been worked out."""
    assert read_lineage(office.settings) == {}
    build_lineage(office.settings, load_manifest_json(office.settings))
    append_deals(office.ledger, 1)
    assert office.refresh().outcome == "published"
    with open_instance(office.settings) as instance:

        def metadata_of(*key: str) -> dict[str, Any]:
            event = instance.get_latest_materialization_event(dg.AssetKey(list(key)))
            assert event is not None
            assert event.asset_materialization is not None
            return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}

        view = metadata_of("staging", "stg_ledger__deal_events")
        mart = metadata_of("marts", "deals")
        raw = metadata_of("raw", "deal_events")
    assert set(raw) >= {"dagster/column_schema"}, raw
    types = {column.name: column.type for column in raw["dagster/column_schema"].columns}
    assert (types["n"], types["estimated_value_amount"]) == ("BIGINT", "DECIMAL(16,2)")
    assert "deal_id" in {column.name for column in view["dagster/column_schema"].columns}
    assert mart["dagster/row_count"] > 0
    assert "| deal_id |" in mart["preview"]
    assert len(mart["preview"]) < SHOWN_AT_ONCE
    assert mart["preview"].count("\n") >= 4, "three rows at least"
    sources = mart["dagster/column_lineage"].deps_by_column["deal_id"]
    assert [(source.asset_key.path, source.column_name) for source in sources] == [
        (["staging", "stg_ledger__deal_events"], "deal_id")
    ]
    sources = view["dagster/column_lineage"].deps_by_column["deal_id"]
    assert [(source.asset_key.path, source.column_name) for source in sources] == [(["raw", "deal_events"], "deal_id")]
