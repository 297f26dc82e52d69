"""Random lives of deals and commissions over the real API, held against a model of a few dozen lines."""

import random
from decimal import Decimal
from typing import Any

import pytest

from tests.api.conftest import People
from tests.faults.agency_model import ROLE_OF, STAGES, STATUSES, Deal, Line
from tests.faults.conftest import Office
from tests.support.campaigns import Campaign, rounds, size
from tests.support.served_api import Answer, Caller

WHO = ["manager", "anna", "manager", "anna", "manager", "ben", "viewer", "admin"]
AGENTS = ["anna", "ben", "manager"]
DEALS = 2
"""As many as a life has: much is to happen to each."""


class Agency:
    """One life. Each step sends one request or a few, compares each answer with the model's, and then what is there.

    Steps are drawn evenly: Hypothesis, made to find what is small, repeated a few of them and seldom got anywhere.
    """

    def __init__(self, people: People, callers: dict[str, Caller], rng: random.Random) -> None:
        self.people, self.callers, self.rng = people, callers, rng
        self.deals: list[Deal] = []
        self.told: list[str] = []

    def live(self, steps: int) -> None:
        """Take so many steps; what led to a difference is told with it."""
        try:
            for _ in range(steps):
                self._step()
            self._compare_views()
        except AssertionError as error:
            error.add_note("\n".join(self.told))
            raise

    def _step(self) -> None:
        steps = [self.open_deal] if len(self.deals) < DEALS else []
        if self.deals:
            steps += [self.move, self.reopen, self.end_and_reopen, self.cancel, self.rename, self.assign, self.record]
        if any(deal.lines for deal in self.deals):
            steps += [self.settle, self.settle_on, self.correct_and_dispute, self.adjust, self.dispute]
        if any(line.last_dispute for deal in self.deals for line in deal.lines):
            steps.append(self.resolve)
        self.rng.choice(steps)()

    def _send(self, who: str, method: str, path: str, body: Any = None, revision: int | None = None) -> Answer:
        headers = {} if revision is None else {"If_Match": f'"{revision}"'}
        answer = self.callers[who].send(method, f"/api/v1{path}", body, **headers)
        if method != "GET":
            self.told.append(f"{who} {method} {path} {body} {headers}: {answer.status}")
        return answer

    def _send_move(self, who: str, deal: Deal, stage: str, revision: int | None = None) -> Answer:
        revision = deal.revision if revision is None else revision
        return self._send(who, "POST", f"/deals/{deal.id}/stage", {"to_stage": stage}, revision)

    def _send_reopening(self, who: str, deal: Deal, stage: str) -> Answer:
        return self._send(who, "POST", f"/deals/{deal.id}/reopen", {"to_stage": stage, "note": "again"})

    def _send_cancel(self, who: str, deal: Deal) -> Answer:
        return self._send(who, "POST", f"/deals/{deal.id}/cancel", {"reason": "gone"})

    def _id(self, who: str) -> str:
        return str(getattr(self.people, who).id)

    def _deal(self) -> Deal:
        return self.rng.choice(self.deals)

    def _line(self) -> tuple[Deal, Line]:
        deal = self.rng.choice([deal for deal in self.deals if deal.lines])
        return deal, self.rng.choice(deal.lines)

    def _who(self) -> str:
        return self.rng.choice(WHO)

    def _stale(self) -> int:
        return self.rng.choice([0, 0, 0, 1])

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

    def open_deal(self) -> None:
        who = self.rng.choice(["anna", "manager"])
        body = {"title": "Tower", "asset_type": "office", "deal_type": "lease", "agent_id": self._id("anna")}
        answer = self._send(who, "POST", "/deals", body)
        deal = Deal(agent="anna", id=answer.json()["id"])
        self.deals.append(deal)
        self._check(deal, answer, 201)

    def move(self) -> None:
        deal, who, stage = self._deal(), self._who(), self.rng.choice(STAGES)
        revision = deal.revision - self._stale()
        answer = self._send_move(who, deal, stage, revision)
        self._check(deal, answer, deal.move(who, stage, revision))

    def reopen(self) -> None:
        deal, who, stage = self._deal(), self._who(), self.rng.choice(STAGES)
        answer = self._send_reopening(who, deal, stage)
        self._check(deal, answer, deal.reopen(who, stage))

    def end_and_reopen(self) -> None:
        """A deal comes to an end and goes on: chance alone does both to the same one seldom."""
        deal, stage = self._deal(), self.rng.choice(STAGES)
        end = self.rng.choice(["closed_won", "closed_lost", "cancelled"])
        if end == "cancelled":
            answer, expected = self._send_cancel("manager", deal), deal.cancel("manager")
        else:
            answer, expected = self._send_move("manager", deal, end), deal.move("manager", end, deal.revision)
        self._check(deal, answer, expected)
        answer, expected = self._send_reopening("manager", deal, stage), deal.reopen("manager", stage)
        self._check(deal, answer, expected)

    def cancel(self) -> None:
        deal, who = self._deal(), self._who()
        answer = self._send_cancel(who, deal)
        self._check(deal, answer, deal.cancel(who))

    def rename(self) -> None:
        deal, who, title = self._deal(), self._who(), self.rng.choice(["Tower", "Mall", "Shed"])
        revision = deal.revision - self._stale()
        expected = deal.rename(who, title, revision)
        self._check(deal, self._send(who, "PATCH", f"/deals/{deal.id}", {"title": title}, revision), expected)

    def assign(self) -> None:
        deal, who, agent = self._deal(), self._who(), self.rng.choice(AGENTS)
        expected = deal.assign(who, agent)
        body = {"agent_id": self._id(agent), "note": "on leave"}
        self._check(deal, self._send(who, "POST", f"/deals/{deal.id}/assign", body), expected)

    def record(self) -> None:
        deal, who, agent = self._deal(), self._who(), self.rng.choice(AGENTS)
        kind = self.rng.choice(["introducer", "exclusive", "bonus"])
        basis = Decimal(self.rng.randint(0, 10 ** self.rng.randint(0, 11))) / 100
        rate = Decimal(self.rng.randint(0, 10_000)) / 10_000
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

    def settle(self) -> None:
        deal, line = self._line()
        self._settle(self._who(), deal, line, self.rng.choice(STATUSES), line.revision - self._stale())

    def _settle(self, who: str, deal: Deal, line: Line, status: str, revision: int) -> None:
        expected = deal.settle(who, line, status, revision)
        answer = self._send(who, "POST", f"/commissions/{line.id}/status", {"to_status": status}, revision)
        self._check_line(line, answer, expected)

    def settle_on(self) -> None:
        """A line goes on some way and is asked for one step more: chance alone leads few of them there."""
        deal, line = self._line()
        steps = self.rng.randint(0, 3)
        for status in (*("confirmed", "invoiced", "paid")[:steps], self.rng.choice(STATUSES)):
            self._settle("manager", deal, line, status, line.revision)

    def correct_and_dispute(self) -> None:
        """A line is corrected, disputed, and that is resolved: it stands where it stood, or is written off."""
        deal, line = self._line()
        self._adjust("manager", deal, line, "correction", Decimal(self.rng.randint(-500, -1)) / 100)
        self._dispute("manager", deal, line)
        if line.open_dispute:
            self._resolve("manager", deal, line, self.rng.random() < 0.2)

    def adjust(self) -> None:
        kind = self.rng.choice(["clawback", "bonus", "correction"])
        self._adjust(self._who(), *self._line(), kind, Decimal(self.rng.randint(-500, 500)) / 100)

    def _adjust(self, who: str, deal: Deal, line: Line, kind: str, amount: Decimal) -> None:
        expected = deal.adjust(who, line, kind, amount)
        body = {"adjustment_type": kind, "amount": f"{amount:.2f}", "note": "found later"}
        answer = self._send(who, "POST", f"/commissions/{line.id}/adjustments", body)
        self._check_line(line, answer, expected)
        items = self._send("viewer", "GET", f"/commissions/{line.id}/adjustments").json()["items"]
        assert sum(Decimal(item["amount"]) for item in items) == sum(line.adjustments)

    def dispute(self) -> None:
        self._dispute(self._who(), *self._line())

    def _dispute(self, who: str, deal: Deal, line: Line) -> None:
        expected = deal.dispute(who, line)
        answer = self._send(who, "POST", f"/commissions/{line.id}/disputes", {"amount": "1.00", "reason": "ours"})
        if expected == 201:
            line.open_dispute = line.last_dispute = answer.json().get("id", "")
        self._check_line(line, answer, expected)

    def resolve(self) -> None:
        disputed = [(deal, line) for deal in self.deals for line in deal.lines if line.last_dispute]
        self._resolve(self._who(), *self.rng.choice(disputed), self.rng.random() < 0.2)

    def _resolve(self, who: str, deal: Deal, line: Line, writes_off: bool) -> None:
        dispute = line.last_dispute
        expected = deal.resolve(who, line, dispute, writes_off)
        body = {"outcome": "partial", "note": "settled", "write_off": writes_off}
        self._check_line(line, self._send(who, "POST", f"/disputes/{dispute}/resolve", body), expected)

    def _compare_views(self) -> None:
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
    for _ in campaign.each(rounds(50, 1000), "lives"):
        Agency(office.people, callers, campaign.rng).live(size(30, 50))
    for caller in callers.values():
        caller.close()
    assert not office.served.printed, "the server complained"
    office.assert_sound()
