"""Rights hold in every state, and at the moment of the write.

Who may not do a thing may not do it whatever state the deal or line is in, and learns nothing of that state; who may,
gets what the state allows: the success, or 409 naming what is reachable.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from ledger import access, commissions, deals
from ledger.access import SYSTEM
from ledger.store import Ledger
from ledger.tables import AgentDeal, Commission
from ledger.vocabulary import CommissionStatus, DealStatus, DisputeOutcome, PipelineStage, Role
from tests.api.conftest import People, problem_of
from tests.api.test_rights import OWNERSHIPS, ROLES, ROWS, World, _look_up, _send, office

__all__ = ["office"]


def _close(stage: PipelineStage) -> Callable[[World], None]:
    return lambda world: void(deals.advance_stage(world.session, SYSTEM, world.ids["deal_id"], stage))


def _cancel(world: World) -> None:
    deals.cancel_deal(world.session, SYSTEM, world.ids["deal_id"], reason="Withdrawn")


def _settle(*statuses: CommissionStatus) -> Callable[[World], None]:
    def move(world: World) -> None:
        for status in statuses:
            commissions.move_commission(world.session, SYSTEM, world.ids["commission_id"], status)

    return move


def _dispute(world: World) -> None:
    opened = commissions.open_dispute(world.session, SYSTEM, world.ids["commission_id"], amount=Decimal(1), reason="x")
    world.ids["dispute_id"] = opened.id


def _resolve(world: World) -> None:
    _dispute(world)
    commissions.resolve_dispute(world.session, SYSTEM, world.ids["dispute_id"], outcome=DisputeOutcome.DENIED)


def void(_: Any) -> None:
    """Drop a result."""


C = CommissionStatus
DEAL_STATES: dict[str, Callable[[World], None]] = {
    "open": void,
    "closed_won": _close(PipelineStage.CLOSED_WON),
    "closed_lost": _close(PipelineStage.CLOSED_LOST),
    "cancelled": _cancel,
}
LINE_STATES: dict[str, Callable[[World], None]] = {
    "pending": void,
    "confirmed": _settle(C.CONFIRMED),
    "invoiced": _settle(C.CONFIRMED, C.INVOICED),
    "paid": _settle(C.CONFIRMED, C.INVOICED, C.PAID),
    "disputed": _dispute,
    "written_off": _settle(C.WRITTEN_OFF),
}


@dataclass(frozen=True)
class Rule:
    """In which states an operation succeeds for whoever has the right."""

    states: dict[str, Callable[[World], None]]
    possible: frozenset[str]

    @classmethod
    def of_deals(cls, *possible: str) -> "Rule":
        return cls(DEAL_STATES, frozenset(possible or DEAL_STATES))

    @classmethod
    def of_lines(cls, *possible: str) -> "Rule":
        return cls(LINE_STATES, frozenset(possible or LINE_STATES))


RULES: dict[str, Rule] = {
    "GET /deals/{deal_id}": Rule.of_deals(),
    "PATCH /deals/{deal_id}": Rule.of_deals(),
    "POST /deals/{deal_id}/stage": Rule.of_deals("open"),
    "POST /deals/{deal_id}/cancel": Rule.of_deals("open"),
    "POST /deals/{deal_id}/reopen": Rule.of_deals("closed_won", "closed_lost", "cancelled"),
    "POST /deals/{deal_id}/assign": Rule.of_deals(),
    "POST /deals/{deal_id}/contacts": Rule.of_deals(),
    "POST /deals/{deal_id}/commissions": Rule.of_deals(),
    "GET /commissions/{commission_id}": Rule.of_lines(),
    "POST /commissions/{commission_id}/status": Rule.of_lines("pending"),
    "POST /commissions/{commission_id}/adjustments": Rule.of_lines(
        "pending", "confirmed", "invoiced", "paid", "disputed"
    ),
    "POST /commissions/{commission_id}/disputes": Rule.of_lines("pending", "confirmed", "invoiced", "paid"),
    "POST /disputes/{dispute_id}/resolve": Rule({"open": _dispute, "resolved": _resolve}, frozenset({"open"})),
}
STATELESS = ("/contacts", "/documents", "/tokens", "/users", "/imports", "/evidence", "/mappings")


def test_every_change_of_a_deal_or_line_has_its_rule_and_every_state_is_tried() -> None:
    """A new route that changes a deal or line says here in which states it may; a new state is tried everywhere."""
    changes = {name for name in ROWS if not name.startswith("GET ") and ROWS[name].about in ("deal", "line")}
    assert {name for name in changes if not any(part in name for part in STATELESS)} <= set(RULES)
    assert set(DEAL_STATES) == set(DealStatus)
    assert set(LINE_STATES) == set(CommissionStatus)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", RULES)
def test_no_state_opens_what_rights_close(
    office: tuple[TestClient, Ledger], people: People, operation: str, role: str
) -> None:
    """Role x operation x ownership x state: 403 and 404 come before the state is looked at, 404 with equal bytes."""
    client, ledger = office
    row, rule = ROWS[operation], RULES[operation]
    for ownership in OWNERSHIPS[row.about]:
        for state, enter in rule.states.items():
            with ledger.write() as session:
                world = World(session, getattr(people, role), people.ben, ownership)
                world.build()
                enter(world)
                revisions = _revisions(session, world)
            response = _send(client, operation, row, world, world.ids)
            cell = (operation, role, ownership, state, response.status_code, response.text[:300])
            is_allowed, is_seen = _look_up(row, world)
            if is_allowed and state in rule.possible:
                assert response.status_code in (200, 201), cell
                continue
            if is_allowed:
                assert response.status_code == 409, cell
                assert response.json()["detail"], cell
            elif is_seen:
                assert response.status_code == 403, cell
                assert problem_of(response) == "not-permitted", cell
            else:
                missing = _send(client, operation, row, world, dict.fromkeys(world.ids, "nothing"))
                assert (response.status_code, response.content) == (404, missing.content), cell
            with ledger.read() as session:
                assert _revisions(session, world) == revisions, cell


def _revisions(session: Session, world: World) -> tuple[int, int]:
    line = session.get_one(Commission, world.ids["commission_id"])
    return session.get_one(AgentDeal, world.ids["deal_id"]).revision, line.revision


def _take_token(session: Session, people: People, _: str) -> None:
    token = next(token for token in access.list_tokens(session, SYSTEM) if token.user_id == people.anna.id)
    access.revoke_token(session, SYSTEM, token.id)


def _let_go(session: Session, people: People, _: str) -> None:
    access.change_user(session, SYSTEM, people.anna.id, {"active": False})


def _make_viewer(session: Session, people: People, _: str) -> None:
    access.change_user(session, SYSTEM, people.anna.id, {"role": Role.VIEWER})


def _hand_over(session: Session, people: People, deal_id: str) -> None:
    deals.assign_deal(session, SYSTEM, deal_id, agent_id=people.ben.id)


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize(
    ("withdraw", "expected"), [(_take_token, 401), (_let_go, 401), (_make_viewer, 403), (_hand_over, 404)]
)
def test_a_right_withdrawn_after_the_request_began_is_gone_when_it_writes(
    client: TestClient, ledger: Ledger, people: People, withdraw: Callable[[Session, People, str], None], expected: int
) -> None:
    """The request waits at the ledger's door while another transaction takes the right away, and then gets nothing."""
    made = client.post(
        "/api/v1/deals", json={"title": "T", "asset_type": "land", "deal_type": "lease"}, headers=people.anna.auth
    )
    deal_id = made.json()["id"]
    at_the_door = threading.Event()
    answers: list[Any] = []

    def notice(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement == "BEGIN IMMEDIATE":
            at_the_door.set()

    def move() -> None:
        headers = people.anna.auth | {"If-Match": "*"}
        answers.append(client.post(f"/api/v1/deals/{deal_id}/stage", json={"to_stage": "proposal"}, headers=headers))

    engine = client.app.state.service.ledger.writer  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", notice)
    sender = threading.Thread(target=move)
    with ledger.write() as session:  # nobody else writes until this is done
        sender.start()
        assert at_the_door.wait(60)
        withdraw(session, people, deal_id)
    sender.join(60)
    [answer] = answers
    assert answer.status_code == expected, answer.text
    with ledger.read() as session:
        assert session.get_one(AgentDeal, deal_id).pipeline_stage == PipelineStage.LEAD_CAPTURED
