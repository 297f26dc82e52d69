"""What can go wrong between the ledger and the published file. Each says what happened and what to do.

DealbookError
└── IngestionError
    ├── LogBroken             the log as read is not the log as written (gap, wrong hash, unreadable entry)
    ├── LogRewound            the warehouse holds entries that this ledger does not have
    ├── ContractBroken        facts from the log break the contract of their raw table
    ├── WarehouseBusy         another process is writing the warehouse
    ├── ReplayNotPossible     the log has never been as asked, or the day is not said
    ├── ReferenceFileUnread   a reference file that cannot be read at all
    └── PublishFailed         the marts could not be copied whole
        └── PublicationMissing  no such published file
"""

# ruff: noqa: N818 - errors are named as facts, like the ledger's

from ledger.errors import DealbookError


class IngestionError(DealbookError):
    """Root of this floor's errors."""


class LogBroken(IngestionError):
    """The entry at leaf index `n` is missing, or its bytes do not give its hash, or they cannot be read."""

    def __init__(self, n: int, fact: str) -> None:
        super().__init__(f"Log entry n={n}: {fact}; nothing of its batch was landed. Run `dealbook audit verify`.")
        self.n = n


class LogRewound(IngestionError):
    """The warehouse was filled from another ledger, or from this one before it lost its end."""


class ContractBroken(IngestionError):
    """Rows of a frame break their table's contract; `entries` are the leaf indexes, `rules` what they break."""

    def __init__(self, message: str, *, table: str, entries: list[int], rules: list[str]) -> None:
        super().__init__(message)
        self.table = table
        self.entries = entries
        self.rules = rules


class WarehouseBusy(IngestionError):
    """Another process holds the warehouse and did not let go in time."""


class ReplayNotPossible(IngestionError):
    """Nothing can be replayed for that log size: it is not reached yet, or no day is known to ask about."""


class ReferenceFileUnread(IngestionError):
    """The file is no benchmark or exchange rate file, or cannot be read at all."""


class PublishFailed(IngestionError):
    """What was published is not what was built; readers stay on the publication before."""


class PublicationMissing(PublishFailed):
    """The publication asked for is not in the folder."""
