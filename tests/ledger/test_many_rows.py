"""Many rows at once go into the database by a way of their own, and arrive as one by one."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ledger.log.audit import audit_log
from ledger.statements import insert_rows, table_of
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditChain
from tests.support.ledger import LONG_AGO, Staff, import_items, imported_deal

AWKWARD = [
    "\\N",
    "\\.",
    "a\tb",
    "two\nlines\r\n",
    'quote " and \\',
    "\\x00ff",
    "İstanbul 大厦 🏢",
    "{}",
    "NULL",
    "%s %(a)s",
]


def test_texts_that_mean_something_to_a_copy_arrive_as_they_are(ledger: Ledger, staff: Staff) -> None:
    """What ends a COPY, is its null or separates its columns; afterwards the log and the tables agree."""
    texts = [f"{mark} {number} {mark}" for number in range(30) for mark in AWKWARD]
    items = [
        imported_deal(staff.agent, f"crm:{number}", title=text, description=text, lead_source=text, company=text)
        for number, text in enumerate(texts)
    ]
    outcomes = import_items(ledger, "deals", items)
    assert {outcome.kind for outcome in outcomes} == {"created"}
    with ledger.read() as session:
        found = {row.external_ref: row for row in session.scalars(select(AgentDeal))}
        report = audit_log(session, ledger.settings, with_state=True)
    assert (report.findings, report.undecided) == ([], [])
    for number, text in enumerate(texts):
        row = found[f"crm:{number}"]
        assert (row.title, row.description, row.lead_source) == (text.strip(),) * 3
    assert {outcome.kind for outcome in import_items(ledger, "deals", items)} == {"unchanged"}


def test_a_key_that_is_there_is_the_same_error_however_many_rows(ledger: Ledger) -> None:
    """A row too many is an `IntegrityError`, as everywhere, and none of the rows is in."""
    rows = [{"chain": f"deal:{number % 200}", "seq": 1, "hash": bytes(32), "at": LONG_AGO} for number in range(201)]
    with pytest.raises(ZeroDivisionError), ledger.write() as session:
        with pytest.raises(IntegrityError):
            insert_rows(session, table_of(AuditChain), rows)
        _ = 1 / 0
    with ledger.read() as session:
        assert len(session.scalars(select(AuditChain.chain)).all()) == 1
