"""From an export to the calibration: of a closed deal counts what was stated 30 days before, and never the outcome."""

from decimal import Decimal
from pathlib import Path

from sqlalchemy import select

from ingestion.landing import land_new_entries
from ledger.tables import AgentDeal
from tests.support.crm_export import DEALS, STATED_HISTORY, STATED_MAPPING, import_export, write_file, write_mapping
from tests.support.dbt_runs import Warehouse
from tests.support.ledger import build_ledger

# Won and lost on 30 April; 30 days before is 31 March, 0:00.
ROWS = {
    "moved on before and after": (
        "Won,5,100,2025-01-06,2025-04-30",
        ["New,2025-01-06,10", "Offer,2025-02-10,35", "Deal,2025-04-10,80", "Won,2025-04-30,100"],
    ),
    "stated at the opening alone": (
        "Lost,5,0,2025-01-06,2025-04-30",
        ["New,2025-01-06,20", "Offer,2025-02-10,", "Lost,2025-04-30,0"],
    ),
    "stated too late": (
        "Lost,5,0,2025-01-06,2025-04-30",
        ["New,2025-01-06,", "Offer,2025-04-10,90", "Lost,2025-04-30,0"],
    ),
    "reopened": (
        "Won,5,100,2025-01-06,2025-04-30",
        ["New,2025-01-06,25", "Lost,2025-02-01,0", "Deal,2025-03-01,60", "Won,2025-04-30,100"],
    ),
    "stated nowhere": ("Won,5,100,2025-01-06,2025-04-30", ["Offer,2025-02-10,", "Won,2025-04-30,100"]),
    "open": ("Deal,5,60,2025-01-06,", ["New,2025-01-06,10", "Offer,2025-02-10,40", "Deal,2025-03-01,70"]),
}
STATED = {
    "moved on before and after": Decimal("0.35"),
    "stated at the opening alone": Decimal("0.20"),
    "stated too late": None,
    "reopened": Decimal("0.60"),
    "stated nowhere": None,
}


def test_the_calibration_takes_what_the_history_said_30_days_before(warehouse: Warehouse, tmp_path: Path) -> None:
    """With the deals in one import, and as another source when the deals came first: but for openings, which are known
    by then and stay as they were."""
    deals = write_file(tmp_path, "d.csv", DEALS, *[f"{name},Ada Low,,{deal}" for name, (deal, _) in ROWS.items()])
    history = [f"{name},{move}" for name, (_, moves) in ROWS.items() for move in moves]
    moves = write_file(tmp_path, "h.csv", STATED_HISTORY, *history)
    ledger = build_ledger(tmp_path / "home")
    for source, imports in {"together": [[deals, moves]], "later": [[deals], [moves]]}.items():
        mapping = write_mapping(tmp_path, STATED_MAPPING.replace('"tiny"', f'"{source}"'))
        assert [import_export(ledger, tmp_path, files, mapping=mapping).rejected for files in imports] == [0] * len(imports)
    land_new_entries(ledger, warehouse.path)
    models = ("--resource-type", "model", "--resource-type", "seed")
    warehouse.run_dbt("build", "--select", "+confidence_calibration", *models, as_of_date="2040-12-31")
    judged = {
        row["external_ref"]: None if row["is_confidence_default"] else row["confidence"]
        for row in warehouse.rows(
            "SELECT external_ref, calibration.confidence, calibration.is_confidence_default"
            " FROM marts.confidence_calibration AS calibration JOIN marts.deals USING (deal_id)"
        )
    }
    late = STATED | {"stated at the opening alone": None}
    assert judged == {f"together:{name}": stated for name, stated in STATED.items()} | {
        f"later:{name}": stated for name, stated in late.items()
    }
    standing = warehouse.rows("SELECT external_ref, confidence FROM marts.deal_revisions WHERE valid_to IS NULL")
    with ledger.read() as session:
        held = session.execute(select(AgentDeal.external_ref, AgentDeal.confidence)).all()
    assert {row["external_ref"]: row["confidence"] for row in standing} == {ref: held_by for ref, held_by in held}
    assert {row["confidence"] for row in standing if row["external_ref"].endswith(":open")} == {Decimal("0.60")}
