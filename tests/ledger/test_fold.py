"""The tables are the fold of the log, however the ledger is used; an edit past the log shows."""

import random
import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from dealbook import app
from ledger import access, commissions, deals
from ledger.actors import SYSTEM
from ledger.errors import Conflict, Invalid
from ledger.fold import FOLDS, TABLE_OF
from ledger.log.checkpoint import make_checkpoint
from ledger.log.verify import verify_chains
from ledger.rebuild import compare_tables, restore_tables
from ledger.settings import get_settings
from ledger.store import Ledger
from ledger.tables import AgentDeal, Commission, CommissionDispute, DealContact
from ledger.vocabulary import (
    AdjustmentType,
    AssetType,
    CommissionStatus,
    CommissionType,
    DisputeOutcome,
    PipelineStage,
    Role,
)
from tests.support.ledger import (
    LONG_AGO,
    Staff,
    find_all,
    import_items,
    imported_deal,
    new_deal,
    open_some_deal,
    read_log,
    record_some_commission,
    run,
)
from tests.support.living_ledger import tamper


class RandomUse:
    """Somebody who uses every function of the ledger in no sensible order."""

    def __init__(self, ledger: Ledger, staff: Staff, seed: int) -> None:
        self.ledger, self.staff, self.rng = ledger, staff, random.Random(seed)

    def pick(self, model: type[Any]) -> Any:
        with self.ledger.read() as session:
            rows = find_all(session, model)
        return self.rng.choice(rows) if rows else None

    def step(self) -> None:
        rng, staff = self.rng, self.staff
        deal, commission, dispute = self.pick(AgentDeal), self.pick(Commission), self.pick(CommissionDispute)
        contact = self.pick(DealContact)
        moment = rng.choice([None, LONG_AGO + timedelta(minutes=rng.randrange(500_000))])
        stage, amount = rng.choice(list(PipelineStage)), Decimal(rng.randrange(-500, 10_000_000)) / 100
        act: list[tuple[Any, ...]] = [
            (deals.open_deal, new_deal(staff.agent, estimated_value_amount=abs(amount), metadata={"a": [1, None]})),
            (access.create_user, {"name": f"Person {rng.random()}", "role": rng.choice(list(Role))}),
            (access.change_user, staff.viewer.id, {"name": f"Vic {rng.random()}"}),
        ]
        if deal:
            change = rng.choice(
                [
                    {"title": f"Title {rng.random()}"},
                    {"confidence": rng.choice([None, Decimal("0.25")])},
                    {"metadata": {"k": str(amount)}, "asset_type": rng.choice(list(AssetType))},
                    {"estimated_value_amount": amount, "expected_close_date": LONG_AGO.date()},
                ]
            )
            act += [
                (deals.change_deal, deal.id, change),
                (deals.advance_stage, deal.id, stage, {"effective_at": moment, "note": rng.choice([None, "note"])}),
                (deals.advance_stage, deal.id, stage),
                (deals.reopen_deal, deal.id, {"to_stage": stage, "note": "again"}),
                (deals.assign_deal, deal.id, {"agent_id": rng.choice([staff.agent.id, staff.other_agent.id])}),
                (deals.add_contact, deal.id, {"name": "Tan", "notes": f"{rng.random()}"}),
                (deals.add_document, deal.id, {"document_type": "d", "title": "t", "uri": "u", "metadata": {"p": 1}}),
                (
                    commissions.record_commission,
                    deal.id,
                    commissions.NewCommission(
                        deal.agent_id, rng.choice(list(CommissionType)), abs(amount), Decimal("0.0333")
                    ),
                ),
            ]
            if rng.random() < 0.2:
                act.append((deals.cancel_deal, deal.id, {"reason": "lost interest"}))
        if contact:
            act.append((deals.erase_contact, contact.deal_id, contact.id))
        if commission:
            kind = rng.choice(list(AdjustmentType))
            act += [
                (commissions.move_commission, commission.id, rng.choice(list(CommissionStatus))),
                (commissions.change_commission, commission.id, {"basis_amount": abs(amount)}),
                (
                    commissions.adjust_commission,
                    commission.id,
                    {"adjustment_type": kind, "amount": amount, "note": "n"},
                ),
                (commissions.open_dispute, commission.id, {"amount": amount, "reason": "r", "evidence": ("doc",)}),
            ]
        if dispute:
            outcome = rng.choice(list(DisputeOutcome))
            ending = {"outcome": outcome, "is_written_off": rng.random() < 0.3, "note": rng.choice([None, "n"])}
            act += [(commissions.resolve_dispute, dispute.id, ending)]
        function, *arguments = rng.choice(act)
        named = arguments.pop() if arguments and type(arguments[-1]) is dict and function not in _DICT_ARGUMENT else {}
        try:
            run(self.ledger, function, SYSTEM, *arguments, **named)
        except (Conflict, Invalid):
            return


_DICT_ARGUMENT = (deals.change_deal, access.change_user, commissions.change_commission)


@pytest.mark.parametrize("seed", range(4))
def test_tables_are_the_fold_of_the_log_after_random_use(ledger: Ledger, staff: Staff, seed: int) -> None:
    user = RandomUse(ledger, staff, seed)
    for _ in range(150):
        user.step()
    import_items(ledger, "deals", [imported_deal(staff.agent, f"crm:{i}", company="Acme") for i in range(5)])
    with ledger.read() as session:
        assert compare_tables(session) == []
        assert verify_chains(session).is_sound
        for deal in find_all(session, AgentDeal):  # closed deals have a close date, and no others do
            assert (deal.actual_close_date is None) == (not deal.status.startswith("closed")), deal.status
        for commission in find_all(session, Commission):
            is_open = any(
                row.outcome is None
                for row in find_all(session, CommissionDispute)
                if row.commission_id == commission.id
            )
            assert (commission.status is CommissionStatus.DISPUTED) == is_open
    assert len({entry["type"] for entry in read_log(ledger)}) >= 12


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("UPDATE agent_deals SET estimated_value_amount = 1", "estimated_value_amount"),
        ("UPDATE agent_deals SET agent_id = (SELECT id FROM users WHERE name = 'Ben Tan')", "agent_id"),
        ("UPDATE agent_deals SET title = 'Silently renamed'", "title"),
        ("UPDATE agent_deal_stage_events SET effective_at = '2020-01-01T00:00:00.000000Z'", "effective_at"),
        ("UPDATE agent_commission_records SET commission_rate = 2 * commission_rate", "commission_rate"),
        ("UPDATE agent_commission_records SET status = 'paid'", "status"),
        ("UPDATE users SET role = 'admin' WHERE name = 'Vic Ong'", "role"),
        ("DELETE FROM agent_commission_records", None),
        (
            "INSERT INTO users (id, email, name, role, active, revision, created_at, updated_at) "
            "SELECT 'x', 'x@x', 'x', 'admin', active, 1, created_at, updated_at FROM users LIMIT 1",
            None,
        ),
    ],
)
def test_an_edit_past_the_log_shows(ledger: Ledger, staff: Staff, statement: str, column: str | None) -> None:
    record_some_commission(ledger, staff.agent, open_some_deal(ledger, staff.agent))
    tamper(ledger, statement)
    with ledger.read() as session:
        assert column in {difference.column for difference in compare_tables(session)}


def dump(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """The protected tables as they stand in the database."""
    with ledger.read() as session:
        return {
            name: [tuple(row) for row in session.execute(text(f"SELECT * FROM {name} ORDER BY id"))]
            for name in sorted(TABLE_OF.values())
        }


def vandalise(ledger: Ledger, *statements: str) -> None:
    """Change the tables past the log, foreign keys and all."""
    if ledger.engine.dialect.name != "sqlite":
        tamper(ledger, *statements)
        return
    db = sqlite3.connect(ledger.settings.home / "ledger.sqlite3")
    for statement in ("PRAGMA foreign_keys = OFF", *statements):
        db.execute(statement)
    db.commit()
    db.close()


VANDALISM = {
    "everything emptied": [f"DELETE FROM {name}" for name in sorted(TABLE_OF.values())],
    "rows edited": [
        "UPDATE agent_deals SET title = 'x', agent_id = (SELECT max(id) FROM users), estimated_value_amount = 7",
        "UPDATE agent_commission_records SET status = 'paid', paid_at = NULL",
        "UPDATE users SET role = 'admin'",
    ],
    "rows renamed": [
        "UPDATE agent_commission_records SET id = 'x' || substr(id, 2)",
        "UPDATE agent_deals SET id = 'x' || substr(id, 2) WHERE id < (SELECT max(id) FROM agent_deals)",
    ],
    "rows put in": [
        "CREATE TEMP TABLE forged AS SELECT * FROM agent_deal_contacts",
        "UPDATE forged SET id = 'x' || substr(id, 2)",
        "INSERT INTO agent_deal_contacts SELECT * FROM forged",
    ],
}


@pytest.mark.parametrize("kind", VANDALISM)
def test_the_tables_come_back_from_the_log_alone(ledger: Ledger, staff: Staff, kind: str) -> None:
    """Whatever was done to them, and also from nothing, every row is again what it was, column for column."""
    user = RandomUse(ledger, staff, 1)
    for _ in range(60):
        user.step()
    deal = open_some_deal(ledger, staff.agent)
    record_some_commission(ledger, staff.manager, deal)
    run(ledger, deals.add_contact, staff.agent, deal.id, name="Grace")
    before = dump(ledger)
    vandalise(ledger, *VANDALISM[kind])
    assert dump(ledger) != before
    assert run(ledger, restore_tables)
    assert dump(ledger) == before
    assert run(ledger, restore_tables) == []


def test_the_verb_folds_a_sound_log_and_no_other(ledger: Ledger, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    """--dry-run tells and changes nothing; a log that was tampered with makes no tables."""
    monkeypatch.setenv("DEALBOOK_HOME", str(ledger.settings.home))
    monkeypatch.setenv("DEALBOOK_LEDGER_URL", ledger.settings.ledger_url)
    get_settings.cache_clear()
    open_some_deal(ledger, staff.agent)
    make_checkpoint(ledger)
    before = dump(ledger)
    vandalise(ledger, "UPDATE agent_deals SET title = 'Silently renamed'")
    vandalised = dump(ledger)
    told = CliRunner().invoke(app, ["audit", "fold", "--dry-run"])
    assert (told.exit_code, "Silently renamed" in told.output, dump(ledger)) == (1, True, vandalised)
    assert CliRunner().invoke(app, ["audit", "fold"]).exit_code == 0
    assert dump(ledger) == before
    vandalise(ledger, "UPDATE agent_deals SET title = 'Silently renamed'")
    tamper(ledger, "UPDATE audit_logs SET body = CAST(replace(body, 'user', 'usex') AS BLOB) WHERE n = 1")
    refused = CliRunner().invoke(app, ["audit", "fold"])
    assert (refused.exit_code, dump(ledger)) == (1, vandalised)
    get_settings.cache_clear()


def test_every_type_of_entry_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "log-entries.md").read_text()
    described = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert described == set(FOLDS)
