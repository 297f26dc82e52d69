"""Deals that have all that a deal can have, so that whoever asks for any part of one finds it."""

from typing import Any

from tests.faults.conftest import DEAL, Office

PAPER = "https://files.example.com/lease.pdf"


def make_full_deal(office: Office, agent: str, text: str) -> dict[str, str]:
    """Make a deal of this agent with `text` in all its texts; return the ids of its parts, as addresses name them."""
    manager = office.caller()

    def make(path: str, body: Any, **headers: str) -> str:
        answer = manager.send("POST", f"/api/v1{path}", body, **headers)
        assert answer.status in (200, 201), answer.content
        return str(answer.json().get("id"))

    def record(kind: str) -> str:
        line = {"commission_type": kind, "basis_amount": "1000.00", "basis_currency": "SGD", "commission_rate": "0.1"}
        return make(f"/deals/{deal}/commissions", line)

    who = getattr(office.people, agent).id
    deal = make("/deals", DEAL | {"title": text, "description": text, "agent_id": who, "note": text})
    contact = make(f"/deals/{deal}/contacts", {"name": text, "company": text})
    document = make(f"/deals/{deal}/documents", {"document_type": "lease", "title": text, "uri": PAPER})
    settled, disputed = record("exclusive"), record("introducer")
    make(f"/commissions/{settled}/status", {"to_status": "confirmed"}, If_Match="*")
    for line in (settled, disputed):
        adjustment = {"adjustment_type": "bonus", "amount": "1.00", "note": text}
        make(f"/commissions/{line}/adjustments", adjustment)
    dispute = make(f"/commissions/{disputed}/disputes", {"amount": "5.00", "reason": text})
    manager.close()
    return {
        "deal_id": deal,
        "contact_id": contact,
        "document_id": document,
        "commission_id": disputed,
        "dispute_id": dispute,
    }


def make_token(office: Office) -> str:
    """Make a token of the viewer's, for an administrator to revoke; return its id."""
    admin = office.caller("admin")
    answer = admin.send("POST", "/api/v1/tokens", {"user_id": office.people.viewer.id, "name": "old"})
    admin.close()
    assert answer.status == 201, answer.content
    return str(answer.json()["id"])
