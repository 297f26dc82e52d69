"""Random lives of deals and commissions over the real API, held against a model of a few dozen lines."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.api.conftest import People
from tests.faults.agency_model import ROLE_OF, STAGES, STATUSES, Deal, Line
from tests.faults.conftest import Office
from tests.support.campaigns import Campaign, rounds, size
from tests.support.served_api import Answer, Caller

WHO = st.sampled_from(["anna", "manager", "anna", "manager", "ben", "viewer", "admin"])
MONEY = st.integers(0, 10**9).map(lambda cents: Decimal(cents) / 100)


class Agency(RuleBasedStateMachine):
    """Each rule sends one request, compares its status with the model's, and then what is there with the model."""

    people: People
    callers: dict[str, Caller]

    def __init__(self) -> None:
        super().__init__()
        self.deals: list[Deal] = []

    def _send(self, who: str, method: str, path: str, body: Any = None, revision: int | None = None) -> Answer:
        headers = {} if revision is None else {"If_Match": f'"{revision}"'}
        return self.callers[who].send(method, f"/api/v1{path}", body, **headers)

    def _id(self, who: str) -> str:
        return str(getattr(self.people, who).id)

    def _deal(self, data: st.DataObject) -> Deal:
        return data.draw(st.sampled_from(self.deals))

    def _line(self, data: st.DataObject) -> tuple[Deal, Line]:
        deal = data.draw(st.sampled_from([deal for deal in self.deals if deal.lines]))
        return deal, data.draw(st.sampled_from(deal.lines))

    def _check(self, deal: Deal, answer: Answer, expected: int) -> None:
        assert answer.status == expected, (expected, answer.content)
        found = self._send("viewer", "GET", f"/deals/{deal.id}").json()
        assert (found["pipeline_stage"], found["status"], found["title"], found["revision"], found["agent_id"]) == (
            deal.stage,
            deal.status,
            deal.title,
            deal.revision,
            self._id(deal.agent),
        )
        assert (found["actual_close_date"] is None) == (deal.stage not in ("closed_won", "closed_lost"))

    def _check_line(self, line: Line, answer: Answer, expected: int) -> None:
        assert answer.status == expected, (expected, answer.content)
        found = self._send("viewer", "GET", f"/commissions/{line.id}").json()
        amount = None if line.amount is None else f"{line.amount:.2f}"
        assert (found["status"], found["commission_amount"], found["revision"]) == (line.status, amount, line.revision)

    @rule(who=st.sampled_from(["anna", "manager"]))
    def open_deal(self, who: str) -> None:
        body = {"title": "Tower", "asset_type": "office", "deal_type": "lease", "agent_id": self._id("anna")}
        answer = self._send(who, "POST", "/deals", body)
        deal = Deal(agent="anna", id=answer.json()["id"])
        self.deals.append(deal)
        self._check(deal, answer, 201)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), who=WHO, stage=st.sampled_from(STAGES), stale=st.sampled_from([0, 0, 0, 1]))
    def move(self, data: st.DataObject, who: str, stage: str, stale: int) -> None:
        deal = self._deal(data)
        revision = deal.revision - stale
        expected = deal.move(who, stage, revision)
        self._check(deal, self._send(who, "POST", f"/deals/{deal.id}/stage", {"to_stage": stage}, revision), expected)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), who=WHO, stage=st.sampled_from(STAGES))
    def reopen(self, data: st.DataObject, who: str, stage: str) -> None:
        deal = self._deal(data)
        expected = deal.reopen(who, stage)
        body = {"to_stage": stage, "note": "again"}
        self._check(deal, self._send(who, "POST", f"/deals/{deal.id}/reopen", body), expected)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), who=WHO)
    def cancel(self, data: st.DataObject, who: str) -> None:
        deal = self._deal(data)
        expected = deal.cancel(who)
        self._check(deal, self._send(who, "POST", f"/deals/{deal.id}/cancel", {"reason": "gone"}), expected)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), who=WHO, title=st.sampled_from(["Tower", "Mall", "Shed"]), stale=st.sampled_from([0, 0, 1]))
    def rename(self, data: st.DataObject, who: str, title: str, stale: int) -> None:
        deal = self._deal(data)
        revision = deal.revision - stale
        expected = deal.rename(who, title, revision)
        self._check(deal, self._send(who, "PATCH", f"/deals/{deal.id}", {"title": title}, revision), expected)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), who=WHO, agent=st.sampled_from(["anna", "ben", "manager"]))
    def assign(self, data: st.DataObject, who: str, agent: str) -> None:
        deal = self._deal(data)
        expected = deal.assign(who, agent)
        body = {"agent_id": self._id(agent), "note": "on leave"}
        self._check(deal, self._send(who, "POST", f"/deals/{deal.id}/assign", body), expected)

    @precondition(lambda self: self.deals)
    @rule(
        data=st.data(),
        who=WHO,
        kind=st.sampled_from(["introducer", "exclusive", "bonus"]),
        agent=st.sampled_from(["anna", "ben", "manager"]),
        basis=MONEY,
        rate=st.integers(0, 10_000).map(lambda number: Decimal(number) / 10_000),
    )
    def record(self, data: st.DataObject, who: str, kind: str, agent: str, basis: Decimal, rate: Decimal) -> None:
        deal = self._deal(data)
        line = Line(kind, agent, basis, rate)
        expected = deal.record(who, line)
        body = {
            "agent_id": self._id(agent),
            "commission_type": kind,
            "basis_amount": f"{basis:.2f}",
            "basis_currency": "SGD",
            "commission_rate": f"{rate:.4f}",
        }
        answer = self._send(who, "POST", f"/deals/{deal.id}/commissions", body)
        if expected == 201:
            line.id = answer.json().get("id", "")
        self._check(deal, answer, expected)

    @precondition(lambda self: any(deal.lines for deal in self.deals))
    @rule(data=st.data(), who=WHO, status=st.sampled_from(STATUSES), stale=st.sampled_from([0, 0, 0, 1]))
    def settle(self, data: st.DataObject, who: str, status: str, stale: int) -> None:
        deal, line = self._line(data)
        revision = line.revision - stale
        expected = deal.settle(who, line, status, revision)
        answer = self._send(who, "POST", f"/commissions/{line.id}/status", {"to_status": status}, revision)
        self._check_line(line, answer, expected)

    @precondition(lambda self: any(deal.lines for deal in self.deals))
    @rule(data=st.data(), then=st.sampled_from(STATUSES))
    def settle_on(self, data: st.DataObject, then: str) -> None:
        """A line goes on as far as it may, and is asked for one step more: chance alone leads few of them there."""
        deal, line = self._line(data)
        for status in ("confirmed", "invoiced", "paid", then):
            revision = line.revision
            expected = deal.settle("manager", line, status, revision)
            body = {"to_status": status}
            answer = self._send("manager", "POST", f"/commissions/{line.id}/status", body, revision)
            assert answer.status == expected, (expected, answer.content)
        self._check_line(line, answer, expected)

    @precondition(lambda self: any(deal.lines for deal in self.deals))
    @rule(
        data=st.data(),
        who=WHO,
        kind=st.sampled_from(["clawback", "bonus", "correction"]),
        amount=st.integers(-500, 500).map(lambda cents: Decimal(cents) / 100),
    )
    def adjust(self, data: st.DataObject, who: str, kind: str, amount: Decimal) -> None:
        deal, line = self._line(data)
        expected = deal.adjust(who, line, kind, amount)
        body = {"adjustment_type": kind, "amount": f"{amount:.2f}", "note": "found later"}
        answer = self._send(who, "POST", f"/commissions/{line.id}/adjustments", body)
        self._check_line(line, answer, expected)
        items = self._send("viewer", "GET", f"/commissions/{line.id}/adjustments").json()["items"]
        assert sum(Decimal(item["amount"]) for item in items) == sum(line.adjustments)

    @precondition(lambda self: any(deal.lines for deal in self.deals))
    @rule(data=st.data(), who=WHO)
    def dispute(self, data: st.DataObject, who: str) -> None:
        deal, line = self._line(data)
        expected = deal.dispute(who, line)
        answer = self._send(who, "POST", f"/commissions/{line.id}/disputes", {"amount": "1.00", "reason": "ours"})
        if expected == 201:
            line.open_dispute = line.last_dispute = answer.json().get("id", "")
        self._check_line(line, answer, expected)

    @precondition(lambda self: any(line.last_dispute for deal in self.deals for line in deal.lines))
    @rule(data=st.data(), who=WHO, writes_off=st.booleans())
    def resolve(self, data: st.DataObject, who: str, writes_off: bool) -> None:
        disputed = [(deal, line) for deal in self.deals for line in deal.lines if line.last_dispute]
        deal, line = data.draw(st.sampled_from(disputed))
        dispute = line.last_dispute
        expected = deal.resolve(who, line, dispute, writes_off)
        body = {"outcome": "partial", "note": "settled", "write_off": writes_off}
        self._check_line(line, self._send(who, "POST", f"/disputes/{dispute}/resolve", body), expected)

    def teardown(self) -> None:
        """At the end of a life: timelines tell the way through the stages, each sees and lists what is theirs."""
        for deal in self.deals:
            items = self._send("viewer", "GET", f"/deals/{deal.id}/timeline").json()["items"]
            assert [item["to_stage"] for item in items if item["to_stage"]] == deal.path
            assert len(items) == deal.revision
            for who in ("anna", "ben"):
                assert self._send(who, "GET", f"/deals/{deal.id}").status == (200 if deal.agent == who else 404)
                for line in deal.lines:
                    is_seen = who in (deal.agent, line.agent)
                    assert self._send(who, "GET", f"/commissions/{line.id}").status == (200 if is_seen else 404)
        for who in ROLE_OF:
            seen = [deal for deal in self.deals if ROLE_OF[who] != "agent" or deal.agent == who]
            lines = [line for deal in self.deals for line in deal.lines if deal in seen or line.agent == who]
            for path, expected in (("deals", seen), ("commissions", lines)):
                listed = {item["id"] for item in self._send(who, "GET", f"/{path}?limit=200").json()["items"]}
                assert listed & self._ids(path) == {one.id for one in expected}

    def _ids(self, path: str) -> set[str]:
        """All of this life's: others came before it."""
        return {one.id for deal in self.deals for one in ([deal] if path == "deals" else deal.lines)}


@pytest.mark.soak
def test_the_api_and_a_small_model_never_differ(office: Office, campaign: Campaign) -> None:
    """50 lives of 30 steps (1,000 of 50): every status, stage, revision and amount is the model's; the log verifies."""
    callers = {who: office.caller(who) for who in ROLE_OF}
    run_state_machine_as_test(
        seed(campaign.seed)(type("Lives", (Agency,), {"people": office.people, "callers": callers})),
        settings=settings(
            max_examples=rounds(50, 1000),
            stateful_step_count=size(30, 50),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for caller in callers.values():
        caller.close()
    assert not office.served.printed, "the server complained"
    office.assert_sound()
