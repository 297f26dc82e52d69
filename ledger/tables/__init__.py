"""The ledger's tables, one file per aggregate. They hold the current fold of the log.

Rows of the protected tables (`PROTECTED_TABLES`) are written by `ledger.fold` alone, together with the entry that
says so; a session refuses any other write to them. There are no relationships: functions say what they read.
"""

from ledger.tables.commissions import Commission, CommissionAdjustment, CommissionDispute
from ledger.tables.deals import AgentDeal, DealContact, DealDocument, StageEvent
from ledger.tables.declarative import Base
from ledger.tables.log import AuditChain, AuditCheckpoint, AuditLog, AuditPending, AuditText, LogIdentity
from ledger.tables.people import ApiToken, LoginLink, User, WorkspaceSession
from ledger.tables.reference import Project, Property
from ledger.tables.requests import IdempotencyKey, Import, ImportReject

PROTECTED_TABLES = frozenset(
    table.__tablename__
    for table in (
        User,
        AgentDeal,
        StageEvent,
        DealContact,
        DealDocument,
        Commission,
        CommissionAdjustment,
        CommissionDispute,
        AuditLog,
        AuditPending,
        AuditChain,
        AuditText,
    )
)

__all__ = [
    "PROTECTED_TABLES",
    "AgentDeal",
    "ApiToken",
    "AuditChain",
    "AuditCheckpoint",
    "AuditLog",
    "AuditPending",
    "AuditText",
    "Base",
    "Commission",
    "CommissionAdjustment",
    "CommissionDispute",
    "DealContact",
    "DealDocument",
    "IdempotencyKey",
    "Import",
    "ImportReject",
    "LogIdentity",
    "LoginLink",
    "Project",
    "Property",
    "StageEvent",
    "User",
    "WorkspaceSession",
]
