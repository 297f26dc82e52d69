"""What a file holds may be of any length: an import takes a text whole or turns its row away, on both databases."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from ledger.imported import ImportedCommission, ImportedDeal, ImportedPerson, ImportedStageEvent
from ledger.store import Ledger
from ledger.vocabulary import CommissionType, PipelineStage
from tests.support.ledger import LONG_AGO, Staff, import_items, imported_deal

pytestmark = pytest.mark.only_on("postgresql")  # SQLite takes any length; the rules are the same

KINDS: dict[str, type[Any]] = {
    "people": ImportedPerson,
    "deals": ImportedDeal,
    "stage_events": ImportedStageEvent,
    "commissions": ImportedCommission,
}


def text_fields(kind: type[Any]) -> list[str]:
    hints = get_type_hints(kind)
    return [each.name for each in fields(kind) if hints[each.name] in (str, str | None)]


@pytest.mark.parametrize("verb", KINDS)
def test_no_text_of_an_imported_row_is_fatal(ledger: Ledger, staff: Staff, verb: str) -> None:
    """Each text field of each kind of row, ten times as long as any column and growing in lower case."""
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    usual: dict[str, Any] = {
        "people": ImportedPerson(name="Eve Loh"),
        "deals": imported_deal(staff.agent, "crm:2"),
        "stage_events": ImportedStageEvent("crm:1", PipelineStage.PROPOSAL, LONG_AGO),
        "commissions": ImportedCommission(
            deal_external_ref="crm:1",
            agent_id=staff.agent.id,
            commission_type=CommissionType.BONUS,
            basis_amount=Decimal("100.00"),
            basis_currency="SGD",
            commission_rate=Decimal("0.0250"),
            introduced_at=LONG_AGO,
        ),
    }
    names = text_fields(KINDS[verb])
    assert names
    for name in names:
        for length in (130, 201, 5_000):
            [outcome] = import_items(ledger, verb, [replace(usual[verb], **{name: f"{'İ' * length}@b.c"})])
            assert outcome.kind != "refused" or outcome.reason, name
