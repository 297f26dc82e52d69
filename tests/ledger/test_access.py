"""Who may do what, cell by cell; and what proves who someone is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from ledger import access, commissions, deals
from ledger.access import RIGHTS, SYSTEM, Action, Actor, Line, Scope, is_permitted
from ledger.bulk import start_import
from ledger.errors import (
    DealNotFound,
    EmailTaken,
    LoginLinkSpent,
    NotFound,
    NotPermitted,
    TokenNotFound,
)
from ledger.store import Ledger
from ledger.tables import ApiToken
from ledger.vocabulary import AdjustmentType, CommissionStatus, PipelineStage, Role
from tests.support.ledger import Staff, entries_of, new_deal, open_some_deal, record_some_commission, run, stored

A, N, OWN, LINE, OTHERS = Scope.ALL, Scope.NONE, Scope.OWN, Scope.OWN_DEAL_OR_LINE, Scope.NOT_OWN_LINE
DOCUMENTED = {  # viewer, agent, manager, admin
    Action.READ_DEAL: (A, OWN, A, A),
    Action.READ_COMMISSION: (A, LINE, A, A),
    Action.READ_SUMMARY: (A, OWN, A, A),
    Action.WRITE_DEAL: (N, OWN, A, N),
    Action.RECORD_COMMISSION: (N, LINE, A, N),
    Action.OPEN_DISPUTE: (N, LINE, A, N),
    Action.SETTLE_COMMISSION: (N, N, OTHERS, N),
    Action.REOPEN_DEAL: (N, N, A, N),
    Action.ASSIGN_DEAL: (N, N, A, N),
    Action.EXPORT_EVIDENCE: (N, OWN, A, A),
    Action.IMPORT: (N, N, A, N),
    Action.ROLL_BACK: (N, N, A, N),
    Action.MANAGE_ACCESS: (N, N, N, A),
}


@pytest.mark.parametrize("action", Action)
def test_the_table_of_rights_is_the_documented_one(action: Action) -> None:
    assert (
        tuple(RIGHTS[action][role] for role in (Role.VIEWER, Role.AGENT, Role.MANAGER, Role.ADMIN))
        == (DOCUMENTED[action])
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_each_scope_covers_its_objects_and_no_others(role: Role, action: Action) -> None:
    me = Actor(kind="user", id="me", role=role)
    scope = RIGHTS[action][role]
    assert is_permitted(me, action, "me") == (scope in (A, OWN, LINE, OTHERS))
    assert is_permitted(me, action, "you") == (scope in (A, OTHERS))
    assert is_permitted(me, action, Line("you", "me")) == (scope in (A, LINE))
    assert is_permitted(me, action, Line("me", "you")) == (scope in (A, OWN, LINE, OTHERS))
    assert is_permitted(me, action, Line("you", "you")) == (scope in (A, OTHERS))
    assert is_permitted(SYSTEM, action)


Attempt = Callable[[Ledger, Staff, Actor], Any]


def _on_deal(function: Callable[..., Any], *arguments: Any, **named: Any) -> Attempt:
    def attempt(ledger: Ledger, staff: Staff, actor: Actor) -> None:
        deal = open_some_deal(ledger, staff.agent)
        if function is deals.reopen_deal:
            run(ledger, deals.advance_stage, SYSTEM, deal.id, PipelineStage.CLOSED_LOST)
        if function is deals.assign_deal:
            named["agent_id"] = staff.other_agent.id
        run(ledger, function, actor, deal.id, *arguments, **named)

    return attempt


def _on_commission(function: Callable[..., Any], *arguments: Any, **named: Any) -> Attempt:
    def attempt(ledger: Ledger, staff: Staff, actor: Actor) -> None:
        commission = record_some_commission(ledger, SYSTEM, open_some_deal(ledger, staff.agent))
        run(ledger, function, actor, commission.id, *arguments, **named)

    return attempt


def _open(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    run(ledger, deals.open_deal, actor, new_deal(staff.agent))


def _record(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    record_some_commission(ledger, actor, open_some_deal(ledger, staff.agent))


def _resolve(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    commission = record_some_commission(ledger, SYSTEM, open_some_deal(ledger, staff.agent))
    dispute = run(ledger, commissions.open_dispute, SYSTEM, commission.id, amount=Decimal(1), reason="r")
    run(ledger, commissions.resolve_dispute, actor, dispute.id, outcome="denied")


def _import(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    run(ledger, start_import, actor, file_name="f", file_sha256="0" * 64, mapping="m")


def _create_user(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    run(ledger, access.create_user, actor, name="New", email="new@example.com", role=Role.VIEWER)


def _create_token(ledger: Ledger, staff: Staff, actor: Actor) -> None:
    run(ledger, access.create_token, actor, staff.agent.id, name="script")


ATTEMPTS: dict[str, tuple[Attempt, str]] = {  # who succeeds: own agent, other agent, manager, viewer, admin
    "open": (_open, "a-m--"),
    "change": (_on_deal(deals.change_deal, {"title": "x"}), "a-m--"),
    "advance": (_on_deal(deals.advance_stage, PipelineStage.PROPOSAL), "a-m--"),
    "cancel": (_on_deal(deals.cancel_deal, reason="r"), "a-m--"),
    "add contact": (_on_deal(deals.add_contact, name="x"), "a-m--"),
    "add document": (_on_deal(deals.add_document, document_type="d", title="t", uri="u"), "a-m--"),
    "reopen": (_on_deal(deals.reopen_deal, to_stage=PipelineStage.PROPOSAL, note="n"), "--m--"),
    "assign": (_on_deal(deals.assign_deal), "--m--"),
    "record commission": (_record, "a-m--"),
    "change commission": (_on_commission(commissions.change_commission, {"basis_amount": Decimal(1)}), "a-m--"),
    "dispute": (_on_commission(commissions.open_dispute, amount=Decimal(1), reason="r"), "a-m--"),
    "settle": (_on_commission(commissions.move_commission, CommissionStatus.CONFIRMED), "--m--"),
    "adjust": (
        _on_commission(
            commissions.adjust_commission, adjustment_type=AdjustmentType.BONUS, amount=Decimal(1), note="n"
        ),
        "--m--",
    ),
    "resolve": (_resolve, "--m--"),
    "import": (_import, "--m--"),
    "create user": (_create_user, "----d"),
    "create token": (_create_token, "----d"),
}


@pytest.mark.parametrize("position", range(5), ids=["own agent", "other agent", "manager", "viewer", "admin"])
@pytest.mark.parametrize("name", ATTEMPTS)
def test_every_function_asks_the_table(ledger: Ledger, staff: Staff, name: str, position: int) -> None:
    attempt, allowed = ATTEMPTS[name]
    actor = (staff.agent, staff.other_agent, staff.manager, staff.viewer, staff.admin)[position]
    if allowed[position] != "-":
        attempt(ledger, staff, actor)
        return
    with pytest.raises((NotPermitted, NotFound)):
        attempt(ledger, staff, actor)


def test_what_may_not_be_seen_looks_like_what_does_not_exist(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    messages = []
    for deal_id in (deal.id, "00000000-0000-7000-8000-000000000001"):
        with pytest.raises(DealNotFound) as caught:
            run(ledger, deals.advance_stage, staff.other_agent, deal_id, PipelineStage.PROPOSAL)
        messages.append(caught.value.detail)
    assert messages[0] == messages[1]


def test_a_manager_does_not_settle_their_own_line(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    own = record_some_commission(ledger, staff.manager, deal, agent_id=staff.manager.id)
    with pytest.raises(NotPermitted):
        run(ledger, commissions.move_commission, staff.manager, own.id, CommissionStatus.CONFIRMED)


def test_an_agent_may_dispute_their_own_line_on_anothers_deal(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    line = record_some_commission(ledger, staff.manager, deal, agent_id=staff.other_agent.id)
    run(ledger, commissions.open_dispute, staff.other_agent, line.id, amount=Decimal(1), reason="mine")


def test_users_are_entries_in_the_systems_chain(ledger: Ledger, staff: Staff) -> None:
    named = {"name": "Lee Chan", "email": "LEE@Example.com", "role": Role.AGENT}
    [entry] = entries_of(ledger, access.create_user, staff.admin, **named)
    assert (entry["chain"], entry["type"]) == ("sys", "user.recorded")
    assert entry["data"]["set"] == {"name": "Lee Chan", "email": "lee@example.com", "role": "agent", "active": True}
    [entry] = entries_of(ledger, access.change_user, staff.admin, entry["subject"]["id"], {"role": "manager"})
    assert (entry["data"], entry["subject"]["rev"]) == ({"set": {"role": "manager"}}, 2)
    with pytest.raises(EmailTaken):
        run(ledger, access.create_user, staff.admin, **named)


def make_token(ledger: Ledger, staff: Staff, **named: Any) -> tuple[ApiToken, str]:
    return run(ledger, access.create_token, staff.admin, staff.agent.id, name="script", **named)


def find(ledger: Ledger, secret: str) -> Actor | None:
    with ledger.read() as session:
        return access.find_token(session, secret)


def test_a_token_leads_to_its_user_and_only_its_digest_is_kept(ledger: Ledger, staff: Staff) -> None:
    token, secret = make_token(ledger, staff)
    assert len(secret) == 53
    assert secret.startswith("dbk_")
    assert find(ledger, secret) == Actor(kind="user", id=staff.agent.id, role=Role.AGENT, token_id=token.id)
    contents = stored(ledger)
    assert any(token.id.encode() in content for content in contents)
    assert not any(secret.encode() in content for content in contents)


def test_a_wrong_token_leads_nowhere(ledger: Ledger, staff: Staff) -> None:
    _, secret = make_token(ledger, staff)
    twisted = secret[:10] + ("A" if secret[10] != "A" else "B") + secret[11:]
    for wrong in ("", "dbk_", secret[:-1], secret + "A", twisted, secret.upper(), "é" * 53):
        assert find(ledger, wrong) is None


def test_a_revoked_or_expired_token_stops_at_once(ledger: Ledger, staff: Staff) -> None:
    token, secret = make_token(ledger, staff)
    actor = find(ledger, secret)
    assert actor is not None
    run(ledger, access.revoke_token, staff.admin, token.id)
    assert find(ledger, secret) is None
    with pytest.raises(NotPermitted):  # even for a request that was let in a moment before
        run(ledger, deals.open_deal, actor, new_deal(staff.agent))
    with pytest.raises(TokenNotFound):
        run(ledger, access.revoke_token, staff.admin, "none")
    _, short_lived = make_token(ledger, staff, expires_at=datetime.now(UTC) + timedelta(minutes=5))
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=6)):
        assert find(ledger, short_lived) is None


def test_a_user_who_left_can_do_nothing(ledger: Ledger, staff: Staff) -> None:
    _, secret = make_token(ledger, staff)
    cookie = run(ledger, access.create_session, staff.agent.id)
    run(ledger, access.change_user, staff.admin, staff.agent.id, {"active": False})
    with ledger.read() as session:
        assert access.find_token(session, secret) is None
        assert access.find_session(session, cookie) is None
    with pytest.raises(NotPermitted):
        run(ledger, deals.open_deal, staff.agent, new_deal(staff.agent))


def test_a_role_taken_away_is_gone_within_the_same_log_in(ledger: Ledger, staff: Staff) -> None:
    run(ledger, access.change_user, staff.admin, staff.manager.id, {"role": Role.VIEWER})
    with pytest.raises(NotPermitted):
        run(ledger, deals.open_deal, staff.manager, new_deal(staff.agent))


@pytest.mark.parametrize("what", ["token", "role"])
def test_a_right_withdrawn_in_a_transaction_is_gone_for_the_rest_of_it(ledger: Ledger, staff: Staff, what: str) -> None:
    """Who was asked about a moment ago is asked about again once users or tokens have changed."""
    token, secret = make_token(ledger, staff)
    with ledger.write() as session:
        actor = access.find_token(session, secret)
        assert actor is not None
        access.authorize(session, actor, Action.WRITE_DEAL, actor.id)
        if what == "token":
            access.revoke_token(session, staff.admin, token.id)
        else:
            access.change_user(session, staff.admin, staff.agent.id, {"role": Role.VIEWER})
        with pytest.raises(NotPermitted):
            access.authorize(session, actor, Action.WRITE_DEAL, actor.id)


def test_a_log_in_link_works_once_within_fifteen_minutes(ledger: Ledger, staff: Staff) -> None:
    secret = run(ledger, access.create_login_link, staff.agent.id)
    late = run(ledger, access.create_login_link, staff.agent.id)
    assert run(ledger, access.redeem_login_link, secret).id == staff.agent.id
    with pytest.raises(LoginLinkSpent):
        run(ledger, access.redeem_login_link, secret)
    with pytest.raises(LoginLinkSpent):
        run(ledger, access.redeem_login_link, "made up")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=15, seconds=1)), pytest.raises(LoginLinkSpent):
        run(ledger, access.redeem_login_link, late)


def test_a_session_ends_when_it_is_ended(ledger: Ledger, staff: Staff) -> None:
    cookie = run(ledger, access.create_session, staff.agent.id)
    with ledger.read() as session:
        assert access.find_session(session, cookie) == staff.agent
    run(ledger, access.end_session, cookie)
    with ledger.read() as session:
        assert access.find_session(session, cookie) is None
