"""Publishing while clients read: every answer whole and of one generation, and no client sent back in time."""

import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api import summaries
from api.figures import Agent, Period, Window
from api.published import PublishedMarts
from ingestion.publishing import publish_marts
from ledger.settings import Settings
from tests.api.conftest import People
from tests.support.campaigns import Campaign, rounds
from tests.support.published_file import ANNA, AS_OF, BEN, publish_sample

THREADS = 4
READ = ("agent_performance_snapshots", "agent_currency_snapshots", "deal_revisions")
EVERY = 20  # of this many reads one goes through HTTP, the others through the function that the route calls


@pytest.fixture
def warehouse(tmp_path: Path, people: People) -> Path:
    """A warehouse with marts of two agents whose open value tells the generation; those alone that a summary reads.

    A publish costs as much for each mart, and none of the others would be looked at.
    """
    name = publish_sample(tmp_path / "first", days=40, agents={ANNA: "Anna Lim", BEN: "Ben Ong"})
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'first' / name}' AS first (READ_ONLY); CREATE SCHEMA marts")
        for mart in READ:
            connection.execute(f"CREATE TABLE marts.{mart} AS FROM first.{mart}")
    return path


def publish(settings: Settings, warehouse: Path, number: int) -> None:
    """Rebuild the warehouse with another figure in every row and publish it, as a refresh does."""
    with duckdb.connect(warehouse) as connection:
        for mart in ("agent_performance_snapshots", "agent_currency_snapshots"):
            connection.execute(f"UPDATE marts.{mart} SET gross_pipeline_value = {number}")
    publish_marts(
        warehouse,
        settings.published_dir,
        log_size=number,
        last_hash="ab" * 32,
        as_of_date=AS_OF,
        definition_version="d" * 64,
        business_timezone="Asia/Singapore",
        reporting_currency="SGD",
        dbt_invocation_id=None,
        dbt_version="1.11.16",
        run_id=f"run{number}",
        reference_digest="e" * 64,
        keep=1,  # the file that readers are on goes as soon as there is a newer one
    )


def read_by_function(marts: PublishedMarts) -> int:
    """Ask for a summary, six queries on one view; return its generation."""
    window = Window(last=AS_OF, first=Period.LAST_30_DAYS.first_day(AS_OF), period=Period.LAST_30_DAYS)
    with marts.read() as view:
        summary = summaries.summarise(view, Agent(ANNA, "Anna Lim"), window)
    values = {summary.as_of.gross_pipeline_value, *(row.gross_pipeline_value for row in summary.by_currency)}
    assert values == {summary.publication.log_size}
    assert summary.publication.log_size == summary.publication.generation
    return summary.publication.log_size


def read_by_http(client: TestClient, people: People) -> int:
    """Ask for the same summary over HTTP; return its generation."""
    response = client.get(
        "/api/v1/performance/summary", params={"agent_id": ANNA, "period": "30d"}, headers=people.manager.auth
    )
    assert response.status_code == 200, response.text
    summary: dict[str, Any] = response.json()
    size: int = summary["freshness"]["log_size"]
    values = {
        summary["as_of"]["gross_pipeline_value"],
        *(row["gross_pipeline_value"] for row in summary["by_currency"]),
    }
    assert values == {f"{size}.00"}
    return size


@pytest.mark.soak
def test_publishes_against_reads(
    campaign: Campaign, client: TestClient, people: People, settings: Settings, warehouse: Path
) -> None:
    """No read fails, none mixes two generations, and no client reads an older one after a newer one.

    `tests/api/test_published.py` has 100 publishes against 10,000 of the smallest reads; here both are the real thing.
    """
    publishes, reads = rounds(6, 1_000), rounds(160, 100_000)
    publish(settings, warehouse, 1)
    marts: PublishedMarts = client.app.state.service.marts  # type: ignore[attr-defined]
    is_published = threading.Event()
    reads_done = threading.Semaphore(0)
    seen: list[list[int]] = [[] for _ in range(THREADS)]
    errors: list[BaseException] = []

    def keep_reading(mine: list[int]) -> None:
        try:
            is_last = False
            while len(mine) < reads // THREADS or not is_last:
                is_last = is_published.is_set()
                is_http = len(mine) % EVERY == 0
                mine.append(read_by_http(client, people) if is_http else read_by_function(marts))
                reads_done.release()
        except BaseException as error:
            errors.append(error)
            reads_done.release(reads)  # the publisher is not left waiting for reads
            raise

    threads = [threading.Thread(target=keep_reading, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    try:
        for number in campaign.each(publishes - 1, "publishes"):
            for _ in range(reads // (publishes + 1)):
                reads_done.acquire()
            publish(settings, warehouse, number + 2)
    finally:
        is_published.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert sum(len(mine) for mine in seen) >= reads
    assert all(mine == sorted(mine) for mine in seen), "a client was sent back in time"
    found = {number for mine in seen for number in mine}
    assert len(found) > publishes // 2, "the reads did not meet the publishes"
    assert max(found) == publishes
    campaign.say(f"{sum(len(mine) for mine in seen):,} reads met {len(found):,} of {publishes:,} generations")
