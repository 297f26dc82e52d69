"""The server's clock is set back, forward and stands still; the log stays in order."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from api.main import create_app
from ledger.log.audit import audit_log
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.api.conftest import Client, People
from tests.faults.conftest import DEAL
from tests.support.campaigns import Campaign, rounds

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation", "agreement")


@pytest.mark.soak
def test_order_and_durations_survive_any_clock(
    model_home: tuple[Path, People], campaign: Campaign, tmp_path: Path
) -> None:
    """500 moves of ten deals (10,000), the clock jumping up to 20 days either way or standing still between them.

    Entries of a chain are in the order of `seq` by their own times too, no stay in a stage is negative, the current
    stage is the one moved to last, and the whole log verifies.
    """
    home, people = model_home
    shutil.copytree(home, tmp_path / "home")
    # The keeper of checkpoints has a clock of its own.
    settings = Settings(home=tmp_path / "home", checkpoint_seconds=0)
    start = datetime.now(UTC)
    with (
        time_machine.travel(start, tick=False) as clock,
        Client(create_app(settings, with_workspace=False), raise_server_exceptions=False) as client,
    ):
        deals: list[str] = []
        moves = rounds(500, 10_000)
        for number in campaign.each(moves, "moves"):
            if number % (moves // 10) == 0:
                made = client.post("/api/v1/deals", json=DEAL, headers=people.anna.auth)
                assert made.status_code == 201, made.text
                deals.append(made.json()["id"])
            kind = campaign.rng.randrange(4)
            if kind:  # 0: it stands still
                jump = timedelta(seconds=campaign.rng.uniform(-1, 1) * 10 ** campaign.rng.uniform(-5, 6.2))
                clock.move_to(
                    min(max(start - timedelta(days=60), datetime.now(UTC) + jump), start + timedelta(days=60))
                )
            deal = campaign.rng.choice(deals)
            stage = campaign.rng.choice(STAGES)
            moved = client.post(
                f"/api/v1/deals/{deal}/stage",
                json={"to_stage": stage},
                headers=people.anna.auth | {"If-Match": "*"},
            )
            if moved.status_code == 409:
                assert stage not in moved.json()["reachable"]
                continue
            assert moved.status_code == 200, moved.text
            answer = moved.json()
            assert answer["deal"]["pipeline_stage"] == stage
            stays = [entry for entry in answer["timeline"] if entry["to_stage"]]
            assert [stay["seq"] for stay in stays] == sorted(stay["seq"] for stay in stays)
            assert all(stay["duration_seconds"] is None or stay["duration_seconds"] >= 0 for stay in stays)
            assert [stay["to_stage"] for stay in stays if stay["is_current"]] == [stage]
    ledger = Ledger.open(settings.ledger_address, settings)
    with ledger.read() as session:
        for deal in deals:
            query = select(AuditLog.at, AuditLog.effective_at).where(AuditLog.chain == f"deal:{deal}")
            times = [tuple(row) for row in session.execute(query.order_by(AuditLog.seq))]
            assert [at for at, _ in times] == sorted(at for at, _ in times)
            assert [effective for _, effective in times] == sorted(effective for _, effective in times)
        assert audit_log(session, settings, with_state=True).exit_code == 0
    ledger.close()
