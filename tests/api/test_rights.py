"""Every cell of who may do what: each route that OpenAPI describes x each role x each ownership, against the one table.

A route without a row below fails: whoever adds a route says which right it asks for and about what.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api.main import create_app
from ledger import access, commissions, deals
from ledger.access import SYSTEM, Action, Line, is_permitted
from ledger.actors import Actor
from ledger.commissions import NewCommission
from ledger.deals import NewDeal
from ledger.imports import finish_import, start_import
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.vocabulary import AssetType, CommissionType, DealType, PipelineStage
from tests.api.conftest import Client, People, Person
from tests.support.published_file import publish_sample, write_sidecar

About = Literal["deal", "line", "numbers", "nothing"]
OWNERSHIPS: dict[About, tuple[str, ...]] = {
    "deal": ("own", "another's"),
    "line": ("own deal", "own line", "another's"),
    "numbers": ("own", "another's"),
    "nothing": ("any",),
}
ROLES = ("viewer", "anna", "manager", "admin")


@dataclass
class World:
    """What one cell acts on. The deal's agent and the line's agent are the caller or someone else."""

    session: Session
    caller: Person
    other: Person
    ownership: str
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def deal_agent(self) -> Person:
        return self.caller if self.ownership in ("own", "own deal") else self.other

    @property
    def line_agent(self) -> Person:
        return self.caller if self.ownership == "own line" else self.other

    def build(self) -> None:
        """Record a deal with a line, a contact and a document, as they stand after a day's work."""
        opened = NewDeal(
            agent_id=self.deal_agent.id, title="Tower", asset_type=AssetType.OFFICE, deal_type=DealType.LEASE
        )
        deal = deals.open_deal(self.session, SYSTEM, opened)
        recorded = NewCommission(
            agent_id=self.line_agent.id,
            commission_type=CommissionType.EXCLUSIVE,
            basis_amount=Decimal(100),
            commission_rate=Decimal("0.1"),
        )
        line = commissions.record_commission(self.session, SYSTEM, deal.id, recorded)
        self.ids |= {
            "deal_id": deal.id,
            "commission_id": line.id,
            "contact_id": deals.add_contact(self.session, SYSTEM, deal.id, name="Grace").id,
            "document_id": deals.add_document(
                self.session, SYSTEM, deal.id, document_type="lease", title="Lease", uri="https://files.example/1"
            ).id,
        }


def _close(world: World) -> None:
    deals.advance_stage(world.session, SYSTEM, world.ids["deal_id"], PipelineStage.CLOSED_LOST)


def _dispute(world: World) -> None:
    opened = commissions.open_dispute(
        world.session, SYSTEM, world.ids["commission_id"], amount=Decimal(1), reason="Ours"
    )
    world.ids["dispute_id"] = opened.id


def _make_token(world: World) -> None:
    world.ids["token_id"] = access.create_token(world.session, SYSTEM, world.other.id, name="script")[0].id


def _import(world: World) -> None:
    import_id = start_import(world.session, SYSTEM, file_name="a.csv", file_sha256="0" * 64, mapping="sample_crm")
    finish_import(world.session, import_id, 0, 0, 0)
    world.ids["import_id"] = import_id


Body = dict[str, Any] | Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """Which right a route asks for (None: only to be signed in), about what, and what makes the request succeed."""

    action: Action | None
    about: About
    body: Body | None = None
    prepare: Callable[[World], None] | None = None
    form: dict[str, str] | None = None  # a form with a file, in place of a body
    listed: str | None = None  # for lists narrowed to what the caller may see: the id that is in it or not


DEALS = (
    "Deal ID,Deal Name,Agent,Client,Contact,Property Class,Service,Stage,Lead Source,Value,Currency,Probability,"
    "Created,Expected Close,Closed,District\n"
)
LINE = {"commission_type": "referral", "basis_amount": "1.00", "basis_currency": "SGD", "commission_rate": "0.1000"}
NEW_DEAL = {"title": "Tower", "asset_type": "office", "deal_type": "lease"}
READ, WRITE, SETTLE, ACCESS = Action.READ_DEAL, Action.WRITE_DEAL, Action.SETTLE_COMMISSION, Action.MANAGE_ACCESS
READ_LINE, SUMMARY = Action.READ_COMMISSION, Action.READ_SUMMARY
PUBLISHED = "marts-000000000100-run1.duckdb"
ROWS: dict[str, Row] = {
    "GET /deals": Row(READ, "deal", listed="deal_id"),
    "POST /deals": Row(WRITE, "numbers", lambda world: NEW_DEAL | {"agent_id": world.deal_agent.id}),
    "GET /deals/{deal_id}": Row(READ, "deal"),
    "PATCH /deals/{deal_id}": Row(WRITE, "deal", {"confidence": "0.70"}),
    "POST /deals/{deal_id}/stage": Row(WRITE, "deal", {"to_stage": "proposal"}),
    "POST /deals/{deal_id}/cancel": Row(WRITE, "deal", {"reason": "Withdrawn"}),
    "POST /deals/{deal_id}/reopen": Row(
        Action.REOPEN_DEAL, "deal", {"to_stage": "proposal", "note": "Back"}, prepare=_close
    ),
    "POST /deals/{deal_id}/assign": Row(
        Action.ASSIGN_DEAL,
        "deal",
        lambda world: {"agent_id": (world.other if world.ownership == "own" else world.caller).id, "note": "Leave"},
    ),
    "GET /deals/{deal_id}/timeline": Row(READ, "deal"),
    "GET /deals/{deal_id}/audit": Row(READ, "deal"),
    "POST /deals/{deal_id}/evidence": Row(Action.EXPORT_EVIDENCE, "deal"),
    "GET /audit/checkpoint": Row(None, "nothing"),
    "GET /audit/proof/inclusion": Row(None, "nothing"),
    "GET /audit/proof/consistency": Row(None, "nothing"),
    "GET /deals/{deal_id}/contacts": Row(READ, "deal"),
    "POST /deals/{deal_id}/contacts": Row(WRITE, "deal", {"name": "Ivan"}),
    "DELETE /deals/{deal_id}/contacts/{contact_id}": Row(WRITE, "deal"),
    "GET /deals/{deal_id}/documents": Row(READ, "deal"),
    "POST /deals/{deal_id}/documents": Row(
        WRITE, "deal", {"document_type": "lease", "title": "Lease", "uri": "https://files.example/2"}
    ),
    "DELETE /deals/{deal_id}/documents/{document_id}": Row(WRITE, "deal"),
    "GET /deals/{deal_id}/commissions": Row(READ, "deal"),
    "POST /deals/{deal_id}/commissions": Row(
        Action.RECORD_COMMISSION, "line", lambda world: LINE | {"agent_id": world.line_agent.id}
    ),
    "GET /commissions": Row(READ_LINE, "line", listed="commission_id"),
    "GET /commissions/{commission_id}": Row(READ_LINE, "line"),
    "GET /commissions/{commission_id}/adjustments": Row(READ_LINE, "line"),
    "GET /commissions/{commission_id}/disputes": Row(READ_LINE, "line"),
    "POST /commissions/{commission_id}/status": Row(SETTLE, "line", {"to_status": "confirmed"}),
    "POST /commissions/{commission_id}/adjustments": Row(
        SETTLE, "line", {"adjustment_type": "bonus", "amount": "1.00", "note": "Early"}
    ),
    "POST /commissions/{commission_id}/disputes": Row(
        Action.OPEN_DISPUTE, "line", {"amount": "1.00", "reason": "Ours"}
    ),
    "POST /disputes/{dispute_id}/resolve": Row(SETTLE, "line", {"outcome": "denied", "note": "No"}, prepare=_dispute),
    "GET /performance/summary": Row(SUMMARY, "numbers"),
    "GET /deals/performance/summary": Row(SUMMARY, "numbers"),
    "GET /performance/snapshots": Row(SUMMARY, "numbers"),
    "GET /performance/comparison": Row(SUMMARY, "numbers"),
    "GET /performance/funnel": Row(SUMMARY, "numbers"),
    "GET /performance/cycle-times": Row(SUMMARY, "numbers"),
    "GET /performance/calibration": Row(SUMMARY, "numbers"),
    "GET /performance/velocity": Row(SUMMARY, "numbers"),
    "GET /performance/lead-sources": Row(SUMMARY, "numbers"),
    "GET /performance/benchmarks": Row(None, "nothing"),
    "GET /deals/performance/benchmarks": Row(None, "nothing"),
    "GET /performance/leaderboard": Row(None, "nothing"),
    "GET /publication": Row(None, "nothing"),
    "GET /publications": Row(None, "nothing"),
    "POST /publication/rollback": Row(Action.ROLL_BACK, "nothing", {"file_name": PUBLISHED}),
    "POST /imports": Row(Action.IMPORT, "nothing", form={"mapping": "sample_crm"}),
    "GET /imports": Row(Action.IMPORT, "nothing"),
    "GET /imports/{import_id}": Row(Action.IMPORT, "nothing", prepare=_import),
    "GET /imports/{import_id}/rejects.csv": Row(Action.IMPORT, "nothing", prepare=_import),
    "GET /mappings": Row(Action.IMPORT, "nothing"),
    "POST /mappings/proposal": Row(Action.IMPORT, "nothing", form={"source": "our_crm"}),
    "GET /jobs": Row(None, "nothing"),
    "GET /me": Row(None, "nothing"),
    "GET /users": Row(ACCESS, "nothing"),
    "POST /users": Row(ACCESS, "nothing", {"name": "New", "role": "viewer"}),
    "GET /tokens": Row(ACCESS, "nothing"),
    "POST /tokens": Row(ACCESS, "nothing", lambda world: {"user_id": world.other.id, "name": "script"}),
    "DELETE /tokens/{token_id}": Row(ACCESS, "nothing", prepare=_make_token),
}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, People]) -> Any:
    """One running app for all cells: each cell makes its own deal."""
    home = tmp_path_factory.mktemp("rights") / "home"
    shutil.copytree(template[0], home)
    settings = Settings(home=home)
    everyone = vars(template[1]).values()
    assert publish_sample(settings.published_dir, agents={person.id: person.name for person in everyone}) == PUBLISHED
    write_sidecar(settings.published_dir, PUBLISHED)
    ledger = Ledger.open(settings.ledger_address, settings)
    with Client(create_app(settings, with_workspace=False), raise_server_exceptions=False) as client:
        yield client, ledger
    ledger.close()


@pytest.fixture(scope="module")
def operations(office: tuple[TestClient, Ledger]) -> dict[str, dict[str, Any]]:
    """What OpenAPI describes below /api/v1, by method and path."""
    paths: dict[str, Any] = office[0].get("/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, methods in paths.items()
        if path.startswith("/api/v1")
        for method, operation in methods.items()
    }


def test_every_route_has_its_row_and_no_row_is_left_over(operations: dict[str, dict[str, Any]]) -> None:
    """A new route says in `ROWS` above which right it asks for."""
    assert set(ROWS) == set(operations)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", ROWS)
def test_each_cell_answers_as_the_table_of_rights_says(
    office: tuple[TestClient, Ledger],
    operations: dict[str, dict[str, Any]],
    people: People,
    operation: str,
    role: str,
) -> None:
    """Allowed: the documented success. Seen but not allowed: 403. Not seen: 404, the bytes of what does not exist."""
    client, ledger = office
    row = ROWS[operation]
    caller: Person = getattr(people, role)
    [success] = [int(status) for status in operations[operation]["responses"] if status.startswith("2")]
    for ownership in OWNERSHIPS[row.about]:
        with ledger.write() as session:
            world = World(session, caller, people.ben, ownership)
            world.build()
            if row.prepare:
                row.prepare(world)
        response = _send(client, operation, row, world, world.ids)
        cell = (operation, role, ownership, response.status_code, response.text[:300])
        is_allowed, is_seen = _look_up(row, world)
        if row.listed:
            listed = {item["id"] for item in response.json()["items"]}
            assert (world.ids[row.listed] in listed) == is_allowed, cell
        elif is_allowed:
            assert response.status_code == success, cell
        elif is_seen:
            assert response.status_code == 403, cell
        else:
            assert response.status_code == 404, cell
            if row.about != "numbers":
                missing = _send(client, operation, row, world, dict.fromkeys(world.ids, "nothing"))
                assert response.content == missing.content, cell


def _send(client: TestClient, operation: str, row: Row, world: World, ids: dict[str, str]) -> Any:
    method, path = operation.split(" ")
    body = row.body(world) if callable(row.body) else row.body
    is_numbers = row.about == "numbers" and method == "GET"
    return client.request(
        method,
        "/api/v1" + path.format(**ids),
        json=body,
        data=row.form,
        files={"files": ("deals.csv", DEALS)} if row.form else None,
        params={"agent_id": world.deal_agent.id} if is_numbers else {"limit": 200} if row.listed else None,
        headers=world.caller.auth | {"If-Match": "*"},
    )


def _look_up(row: Row, world: World) -> tuple[bool, bool]:
    """Return whether the table allows the cell, and whether the caller may see what it is about."""
    actor = Actor(kind="user", id=world.caller.id, role=world.caller.role)
    if row.action is None:
        return True, True
    match row.about:
        case "deal":
            return is_permitted(actor, row.action, world.deal_agent.id), is_permitted(actor, READ, world.deal_agent.id)
        case "line":
            line = Line(world.deal_agent.id, world.line_agent.id)
            # A line is recorded on a deal, which must be seen; any other is reached through the line itself.
            is_new = row.action is Action.RECORD_COMMISSION
            is_seen = is_permitted(actor, READ, line.deal_agent_id) if is_new else is_permitted(actor, READ_LINE, line)
            return is_permitted(actor, row.action, line), is_seen
        case "numbers":
            is_seen = row.action is not SUMMARY  # of numbers that one may not see one learns nothing
            return is_permitted(actor, row.action, world.deal_agent.id), is_seen
        case "nothing":
            return is_permitted(actor, row.action), True


def test_whoever_is_not_signed_in_gets_nowhere(office: tuple[TestClient, Ledger]) -> None:
    """One answer for every route, before anything is looked up."""
    client, _ = office
    answers = set()
    for operation in ROWS:
        method, path = operation.split(" ")
        response = client.request(method, "/api/v1" + path.replace("{", "").replace("}", ""))
        assert response.status_code == 401, (operation, response.text)
        answers.add(response.content)
    assert len(answers) == 1
