"""Whoever reads the log by leaf index sees every entry, in whatever order transactions begin and commit."""

import sys
import threading
import time

import pytest
from sqlalchemy import func, select

from ingestion.log_position import log_size
from ingestion.log_reader import read_batches
from ledger import deals
from ledger.actors import SYSTEM
from ledger.log.audit import audit_log
from ledger.store import Ledger
from ledger.tables import AuditPending, StageEvent
from ledger.vocabulary import PipelineStage
from tests.support.campaigns import size
from tests.support.ledger import Staff, open_some_deal, read_log, run

WRITERS = 16
MOVES = size(30, 500)


@pytest.mark.only_on("postgresql")
def test_a_transaction_that_begins_first_and_commits_last_is_not_missed(ledger: Ledger, staff: Staff) -> None:
    """A reader that is beyond later entries still gets the late one: it has a higher index, and there is no gap."""
    early, late = open_some_deal(ledger, staff.agent), open_some_deal(ledger, staff.agent)
    has_written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with ledger.write() as session:
            deals.change_deal(session, SYSTEM, early.id, {"lead_source": "began first"})
            has_written.set()
            may_commit.wait(60)

    start = log_size(ledger)
    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert has_written.wait(60)
    run(ledger, deals.change_deal, SYSTEM, late.id, {"lead_source": "committed first"})
    first_size = log_size(ledger)
    [first] = read_batches(ledger, start, first_size, 1_000)
    may_commit.set()
    slow.join(60)
    second_size = log_size(ledger)
    [second] = read_batches(ledger, first_size, second_size, 1_000)
    assert (first_size - start, second_size - first_size) == (1, 1)
    assert [batch.frames["deal_events"]["deal_id"].to_list() for batch in (first, second)] == [[late.id], [early.id]]


@pytest.mark.only_on("postgresql")
def test_what_a_writer_left_without_an_index_gets_one_from_the_next_reader_of_the_log(
    ledger: Ledger, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that dies just after its commit has lost nothing; until then the log and its verification stay sound."""
    deal = open_some_deal(ledger, staff.agent)
    size = log_size(ledger)
    monkeypatch.setattr(Ledger, "settle", lambda *_: None)
    run(ledger, deals.change_deal, SYSTEM, deal.id, {"lead_source": "left behind"})
    run(ledger, deals.change_deal, SYSTEM, deal.id, {"lead_source": "and another"})
    assert len(read_log(ledger)) == size
    with ledger.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditPending)) == 2
        assert audit_log(session, ledger.settings, with_state=True).findings == []
        assert [item.n for item in deals.list_timeline(session, deal.id)][-2:] == [None, None]
    monkeypatch.undo()
    assert log_size(ledger) == size + 2
    with ledger.read() as session:
        assert audit_log(session, ledger.settings, with_state=True).findings == []
        assert [item.n for item in deals.list_timeline(session, deal.id)][-2:] == [size, size + 1]


@pytest.mark.soak
def test_sixteen_writers_on_one_deal_fork_nothing_and_lose_nothing(
    ledger: Ledger, staff: Staff, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every move of sixteen writers is in the deal's chain once, in order, and the tables agree with the log."""
    deal = open_some_deal(ledger, staff.agent)
    before = log_size(ledger)
    errors: list[Exception] = []
    together = threading.Barrier(WRITERS + 1)

    def move(writer: int) -> None:
        try:
            together.wait(60)
            for turn in range(MOVES):
                with ledger.write() as session:
                    now = deals.get_deal(session, SYSTEM, deal.id).pipeline_stage
                    there = PipelineStage.AGREEMENT if now is PipelineStage.PROPOSAL else PipelineStage.PROPOSAL
                    deals.advance_stage(session, SYSTEM, deal.id, there, note=f"{writer}-{turn}")
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=move, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    together.wait(60)
    began = time.perf_counter()
    for writer in writers:
        writer.join()
    rate = WRITERS * MOVES / (time.perf_counter() - began)
    with capsys.disabled():
        sys.stdout.write(f" {ledger.engine.dialect.name}: {rate:,.0f} moves/s by {WRITERS} writers on one deal ")
    assert errors == []
    written = read_log(ledger, before)
    assert [entry["seq"] for entry in written] == list(range(2, WRITERS * MOVES + 2))
    with ledger.read() as session:
        notes = set(session.scalars(select(StageEvent.note).where(StageEvent.note.is_not(None))))
        assert notes == {f"{writer}-{turn}" for writer in range(WRITERS) for turn in range(MOVES)}
        assert audit_log(session, ledger.settings, with_state=True).findings == []
