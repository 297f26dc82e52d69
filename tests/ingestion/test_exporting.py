"""A published file as Parquet: whatever reads Parquet finds the same rows, sums and types."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingestion.errors import PublicationMissing
from ingestion.exporting import export_parquet
from ingestion.publishing import Publication, publish_marts
from ingestion.warehouse import open_warehouse
from tests.ingestion.test_publishing import FACTS
from tests.support.commands import run_dealbook


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Publication]:
    """Two publications in a home; the returned one is the older, of which readers no longer see anything."""
    home = tmp_path / "it's home"
    with open_warehouse(home / "warehouse.duckdb") as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            """CREATE TABLE marts.deals AS SELECT i AS deal_id, (i * 1.25)::DECIMAL(16,2) AS value,
               CASE WHEN i % 3 > 0 THEN DATE '2026-01-01' + i::INTEGER END AS closed_on,
               TIMESTAMPTZ '2026-01-02 03:04:05.000006Z' AS opened_at FROM range(1000) r(i)"""
        )
        connection.execute("CREATE TABLE marts.commissions (commission_id VARCHAR, amount DECIMAL(16,2))")
    first = publish_marts(home / "warehouse.duckdb", home / "published", run_id="run-1", **FACTS)
    with open_warehouse(home / "warehouse.duckdb") as connection:
        connection.execute("DELETE FROM marts.deals WHERE deal_id >= 400")
    publish_marts(home / "warehouse.duckdb", home / "published", run_id="run-2", **FACTS)
    return home, first


def _read(folder: Path) -> tuple[int, Decimal, dict[str, Any]]:
    deals = pl.read_parquet(folder / "deals.parquet")
    return deals.height, deals["value"].sum(), dict(deals.schema)


def test_polars_finds_the_same_rows_sums_and_types(published: tuple[Path, Publication], tmp_path: Path) -> None:
    """Of the current publication unless another is named; an empty mart is a file, too."""
    home, first = published
    out = tmp_path / "that's out"
    ended = run_dealbook(home, "export", "--parquet", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert _read(out) == (
        400,
        Decimal("99750.00"),
        {
            "deal_id": pl.Int64,
            "value": pl.Decimal(16, 2),
            "closed_on": pl.Date,
            "opened_at": pl.Datetime("us", "UTC"),
            "as_of_date": pl.Date,
            "log_size": pl.Int64,
            "definition_version": pl.String,
        },
    )
    assert pl.read_parquet(out / "commissions.parquet").is_empty()
    assert {file["table"]: file["rows"] for file in report["files"]}["deals"] == 400

    export_parquet(home / "published", out, first.name)
    assert _read(out)[:2] == (1000, Decimal("624375.00"))
    assert json.loads((out / "manifest.json").read_text())["name"] == first.name
    assert pl.read_parquet(out / "manifest.parquet")["run_id"].to_list() == ["run-1"]
    digests = pl.read_parquet(out / "manifest_marts.parquet")
    assert dict(digests.select("mart", "digest").iter_rows()) == {mart.mart: mart.digest for mart in first.marts}
    assert not list(out.glob("*.part"))


def test_an_export_cut_short_has_no_manifest(
    published: tuple[Path, Publication], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of two publications then lie side by side; nothing says that they belong together."""
    home, first = published
    export_parquet(home / "published", tmp_path / "out")
    real = Path.replace

    def full_disk(path: Path, target: Path) -> Path:
        if target.name == "manifest.parquet":
            raise OSError("disk full")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        export_parquet(home / "published", tmp_path / "out", first.name)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_what_is_not_there_is_said(published: tuple[Path, Publication], tmp_path: Path) -> None:
    home, _ = published
    with pytest.raises(PublicationMissing, match="marts-x"):
        export_parquet(home / "published", tmp_path / "out", "marts-x.duckdb")
    with pytest.raises(PublicationMissing, match="dealbook refresh"):
        export_parquet(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_published_file_is_left_as_it_was(published: tuple[Path, Publication], tmp_path: Path) -> None:
    home, first = published
    path = home / "published" / first.name
    before = path.read_bytes()
    with duckdb.connect(path, read_only=True) as reader:
        export_parquet(home / "published", tmp_path / "out", first.name)
        assert reader.execute("SELECT count(*) FROM deals").fetchall() == [(1000,)]
    assert path.read_bytes() == before
