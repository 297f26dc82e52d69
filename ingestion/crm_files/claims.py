"""A commission row becomes a commission with its history: statuses, dispute, adjustment.

What contradicts itself is returned as `Contradiction`, as in `assembling`.
"""

from datetime import UTC, datetime

from ingestion.crm_files.assembling import Assembler, Contradiction, Row, aware
from ingestion.crm_files.fields import Section
from ledger.imported import ImportedAdjustment, ImportedCommission, ImportedDispute
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, DisputeOutcome


class ClaimAssembler:
    """Puts commission rows together, by the days and names of the deals' assembler."""

    def __init__(self, deals: Assembler) -> None:
        self.deals = deals

    def commission(self, row: Row, agent_id: str, opened: datetime | None) -> ImportedCommission | Contradiction:
        """Turn a commission row into a commission with its history; `opened` is when its deal was opened, if known."""
        history = self._statuses(row, opened)
        if isinstance(history, Contradiction):
            return history
        introduced, statuses = history
        dispute = self._dispute(row, introduced)
        if isinstance(dispute, Contradiction):
            return dispute
        adjustment = self._adjustment(row, introduced)
        if isinstance(adjustment, Contradiction):
            return adjustment
        stands = statuses[-1][0] if statuses else CommissionStatus.PENDING
        if dispute and dispute.resolved_at is None:
            stands = CommissionStatus.DISPUTED
        if row["status"] not in (None, stands):
            return Contradiction("status", row["status"], f"contradicts the dates of the row, by which it is {stands}")
        return ImportedCommission(
            deal_external_ref=f"{self.deals.mapping.source}:{row['deal_id']}",
            agent_id=agent_id,
            commission_type=CommissionType(row["commission_type"]),
            basis_amount=row["basis"],
            basis_currency=row["currency"],
            commission_rate=row["rate"],
            introduced_at=introduced,
            commission_amount=row["amount"],
            statuses=statuses,
            adjustments=[adjustment] if adjustment else [],
            disputes=[dispute] if dispute else [],
        )

    def _statuses(
        self, row: Row, opened: datetime | None
    ) -> tuple[datetime, list[tuple[CommissionStatus, datetime]]] | Contradiction:
        introduced = last = self._not_before(aware_required(row["introduced_on"]), opened)
        statuses: list[tuple[CommissionStatus, datetime]] = []
        skipped: str | None = None
        before = "introduced_on"
        for status in (CommissionStatus.CONFIRMED, CommissionStatus.INVOICED, CommissionStatus.PAID):
            name = f"{status}_on"
            at = aware(row[name])
            if at is None:
                skipped = skipped or name
                continue
            if skipped:
                given = self.deals.column(Section.COMMISSIONS, name)
                return Contradiction(skipped, None, f"is empty although '{given}' is given")
            if self.deals.day(at) < self.deals.day(last):
                earlier = self.deals.column(Section.COMMISSIONS, before)
                return Contradiction(name, self.deals.text_of(at), f"lies before '{earlier}' ({self.deals.day(last)})")
            last, before = max(at, last), name
            statuses.append((status, last))
        if given_up := aware(row["written_off_on"]):
            if statuses and statuses[-1][0] is CommissionStatus.PAID:
                return Contradiction(
                    "written_off_on", self.deals.text_of(given_up), "is given, but the commission was paid"
                )
            if self.deals.day(given_up) < self.deals.day(last):
                return Contradiction(
                    "written_off_on", self.deals.text_of(given_up), f"lies before {self.deals.day(last)}"
                )
            statuses.append((CommissionStatus.WRITTEN_OFF, max(given_up, last)))
        return introduced, statuses

    def _dispute(self, row: Row, introduced: datetime) -> ImportedDispute | Contradiction | None:
        opened = aware(row["disputed_on"])
        resolved = aware(row["resolved_on"])
        if opened is None:
            for name in ("resolved_on", "outcome", "disputed_amount"):
                if row[name] is not None:
                    return Contradiction("disputed_on", None, f"is empty although '{self._named(name)}' is given")
            return None
        amount = row["disputed_amount"] if row["disputed_amount"] is not None else row["amount"]
        if amount is None:
            return Contradiction("disputed_amount", None, "is empty: how much is disputed?")
        if (resolved is None) != (row["outcome"] is None):
            empty, given = ("resolved_on", "outcome") if resolved is None else ("outcome", "resolved_on")
            return Contradiction(empty, None, f"is empty although '{self._named(given)}' is given")
        if self.deals.day(opened) < self.deals.day(introduced):
            return Contradiction("disputed_on", self.deals.text_of(opened), f"lies before {self.deals.day(introduced)}")
        opened = max(opened, introduced)
        if resolved and self.deals.day(resolved) < self.deals.day(opened):
            return Contradiction("resolved_on", self.deals.text_of(resolved), f"lies before {self.deals.day(opened)}")
        return ImportedDispute(
            amount=amount,
            opened_at=opened,
            reason=row["dispute_reason"] or "Imported",
            resolved_at=max(resolved, opened) if resolved else None,
            outcome=DisputeOutcome(row["outcome"]) if row["outcome"] else None,
        )

    def _adjustment(self, row: Row, introduced: datetime) -> ImportedAdjustment | Contradiction | None:
        names = ("adjustment_type", "adjustment_amount", "adjusted_on")
        given = [name for name in names if row[name] is not None]
        if not given:
            return None
        for name in names:
            if row[name] is None:
                return Contradiction(name, None, f"is empty although '{self._named(given[0])}' is given")
        kind = AdjustmentType(row["adjustment_type"])
        if row["adjustment_amount"] < 0 and kind is not AdjustmentType.CORRECTION:
            return Contradiction(
                "adjustment_amount", str(row["adjustment_amount"]), "must not be negative in a " + kind
            )
        at = aware_required(row["adjusted_on"])
        if self.deals.day(at) < self.deals.day(introduced):
            return Contradiction("adjusted_on", self.deals.text_of(at), f"lies before {self.deals.day(introduced)}")
        return ImportedAdjustment(kind, row["adjustment_amount"], max(at, introduced), row["adjustment_note"])

    def _named(self, name: str) -> str:
        return self.deals.column(Section.COMMISSIONS, name)

    def _not_before(self, moment: datetime, opened: datetime | None) -> datetime:
        """A date without a time is midnight, which lies before a deal opened later that day: the day is what counts."""
        return opened if opened and moment < opened and self.deals.day(moment) == self.deals.day(opened) else moment


def aware_required(moment: datetime) -> datetime:
    """Return a staged moment (naive UTC), which is never empty, as the aware one it is."""
    return moment.replace(tzinfo=UTC)
