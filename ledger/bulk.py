"""The import path (signatures first; the bodies follow)."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from ledger.actors import Actor
from ledger.imported import (
    ImportedAdjustment,
    ImportedCommission,
    ImportedDeal,
    ImportedDispute,
    ImportedPerson,
    ImportedStage,
    ImportedStageEvent,
    Outcome,
)

__all__ = [
    "BulkImport",
    "ImportedAdjustment",
    "ImportedCommission",
    "ImportedDeal",
    "ImportedDispute",
    "ImportedPerson",
    "ImportedStage",
    "ImportedStageEvent",
    "Outcome",
]


class BulkImport:
    """Many facts in the caller's transaction."""

    def __init__(self, session: Session, actor: Actor, import_id: str) -> None:
        self.session, self.actor, self.import_id = session, actor, import_id

    def people(self, items: Sequence[ImportedPerson]) -> list[Outcome]:
        """Record people."""
        raise NotImplementedError

    def deals(self, items: Sequence[ImportedDeal]) -> list[Outcome]:
        """Record deals."""
        raise NotImplementedError

    def stage_events(self, items: Sequence[ImportedStageEvent]) -> list[Outcome]:
        """Record stage events."""
        raise NotImplementedError

    def commissions(self, items: Sequence[ImportedCommission]) -> list[Outcome]:
        """Record commissions."""
        raise NotImplementedError
