# ruff: noqa: N818 - errors are named as the facts they state
"""What can go wrong in the ledger, named as facts.

    DealbookError
    ├── NotFound                    what was named does not exist, or may not be seen by the caller
    │   ├── DealNotFound
    │   ├── CommissionNotFound
    │   ├── DisputeNotFound
    │   ├── UserNotFound
    │   ├── TokenNotFound
    │   ├── ImportNotFound
    │   ├── ContactNotFound
    │   └── DocumentNotFound
    ├── NotPermitted                seen, but not allowed
    │   └── LoginLinkSpent          used, expired or never made
    ├── Conflict                    well formed, but not possible in the present state
    │   ├── StageNotReachable       `.reachable` names the stages that are
    │   ├── DealNotOpen
    │   ├── DealNotClosed
    │   ├── RevisionStale           `.current` is the deal's revision now
    │   ├── CommissionStatusNotReachable    `.reachable`
    │   ├── CommissionAlreadyRecorded
    │   ├── CommissionAlreadyConfirmed
    │   ├── DisputeAlreadyResolved
    │   ├── EmailTaken
    │   └── WriteContended          another write stood in the way and could not be waited for; try again
    ├── Invalid                     can never be accepted; `.column` names the offending field
    │   ├── AmountInvalid
    │   ├── TextInvalid
    │   ├── WordUnknown
    │   ├── TimeNaive
    │   ├── EffectiveInFuture
    │   ├── EffectiveTooEarly
    │   ├── NoteRequired
    │   ├── NothingToChange
    │   ├── CursorInvalid
    │   └── EntryInvalid            a log entry outside the canonical subset
    ├── ProofInvalid                a proof, signature or key about the log that shows nothing
    └── LedgerUnavailable           the store itself
        ├── LedgerNotInitialised
        ├── LedgerOutOfDate
        ├── BackupRefused           a backup that cannot be made or put back as asked
        ├── MoveRefused             a ledger that cannot be moved to another database as asked
        ├── LedgerMoved             this one was moved, and is closed to writing
        ├── KeysExposed
        ├── LogForked               two writers met on one chain; the transaction is rolled back
        ├── DiskFull                a write did not fit; nothing of it is kept, reading goes on
        ├── LedgerNotAnswering      the store refuses or does not answer for now
        ├── LogNotContinued         the log lacks entries that were signed: an old backup, or tampering
        └── UnloggedChange          code tried to change a protected table without an entry

Every error has a `code` (kebab-case, stable, the last part of its documented address) and a `detail` that says
what to do.
"""

import re
from collections.abc import Sequence
from typing import ClassVar


class DealbookError(Exception):
    """Root of all errors that dealbook raises on purpose."""

    code: ClassVar[str] = "dealbook-error"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(DealbookError):
    """What was named does not exist, or may not be seen by the caller: the two look the same."""

    noun: ClassVar[str] = "record"

    def __init__(self, identifier: str = "") -> None:
        super().__init__(f"No such {self.noun}. Check the identifier, or ask whether you may see it.")
        self.identifier = identifier


class DealNotFound(NotFound):
    """No deal with this identifier is visible to the caller."""

    noun = "deal"


class CommissionNotFound(NotFound):
    """No commission with this identifier is visible to the caller."""

    noun = "commission"


class DisputeNotFound(NotFound):
    """No dispute with this identifier is visible to the caller."""

    noun = "dispute"


class UserNotFound(NotFound):
    """No user with this identifier."""

    noun = "user"


class TokenNotFound(NotFound):
    """No token with this identifier."""

    noun = "token"


class ImportNotFound(NotFound):
    """No import with this identifier."""

    noun = "import"


class ContactNotFound(NotFound):
    """No contact with this identifier on the deal."""

    noun = "contact"


class DocumentNotFound(NotFound):
    """No document with this identifier on the deal."""

    noun = "document"


class NotPermitted(DealbookError):
    """The caller sees the object but may not do this to it."""


class LoginLinkSpent(NotPermitted):
    """The log-in link was used, has expired or never existed; the three look the same."""


class Conflict(DealbookError):
    """The request is well formed, but the present state does not allow it."""


class StageNotReachable(Conflict):
    """The deal cannot enter that stage from where it stands."""

    def __init__(self, detail: str, reachable: Sequence[str]) -> None:
        super().__init__(detail)
        self.reachable = [str(stage) for stage in reachable]


class DealNotOpen(Conflict):
    """The deal is closed or cancelled."""


class DealNotClosed(Conflict):
    """The deal is open, so there is nothing to reopen."""


class RevisionStale(Conflict):
    """Someone changed the deal after the caller read it."""

    def __init__(self, current: int) -> None:
        super().__init__(f"The deal has changed since you read it (revision {current} now). Read it again and retry.")
        self.current = current


class CommissionStatusNotReachable(Conflict):
    """The commission cannot take that status from where it stands."""

    def __init__(self, detail: str, reachable: Sequence[str]) -> None:
        super().__init__(detail)
        self.reachable = [str(status) for status in reachable]


class CommissionAlreadyRecorded(Conflict):
    """The deal already has a commission of this type for this agent."""


class CommissionAlreadyConfirmed(Conflict):
    """Basis, rate and amount are fixed once a commission left `pending`."""


class DisputeAlreadyResolved(Conflict):
    """The dispute has an outcome."""


class EmailTaken(Conflict):
    """Another user has this e-mail address."""


class WriteContended(Conflict):
    """Another write of the same moment stood in the way; nothing was changed, and trying again helps."""


class Invalid(DealbookError):
    """The request can never be accepted as it stands."""

    def __init__(self, detail: str, column: str | None = None) -> None:
        super().__init__(detail)
        self.column = column


class AmountInvalid(Invalid):
    """Not an exact number of the column's precision and range."""


class TextInvalid(Invalid):
    """A text that is empty, too long or malformed."""


class WordUnknown(Invalid):
    """A word outside the vocabulary."""


class TimeNaive(Invalid):
    """A time without its zone."""


class EffectiveInFuture(Invalid):
    """A business event cannot have happened later than now."""


class EffectiveTooEarly(Invalid):
    """A business event cannot precede the first event of its deal."""


class NoteRequired(Invalid):
    """This action must be explained."""


class NothingToChange(Invalid):
    """The request names nothing that differs from the present state."""


class CursorInvalid(Invalid):
    """The page cursor was not made by this list."""


class EntryInvalid(Invalid):
    """A log entry lies outside the canonical subset."""


class ProofInvalid(DealbookError):
    """A Merkle proof, signed note or public key does not show what it should."""


class LedgerUnavailable(DealbookError):
    """The ledger's store cannot be used."""


class LedgerNotInitialised(LedgerUnavailable):
    """There is no ledger at this address."""


class LedgerOutOfDate(LedgerUnavailable):
    """The ledger's schema is not the one that this version works with."""


class BackupRefused(LedgerUnavailable):
    """A backup cannot be made or put back as asked; nothing was changed."""


class MoveRefused(LedgerUnavailable):
    """A ledger cannot be moved as asked; both databases are as they were."""


class LedgerMoved(LedgerUnavailable):
    """The ledger was moved to another database; here it can still be read."""


class KeysExposed(LedgerUnavailable):
    """A secret's file can be read by others."""


class LogForked(LedgerUnavailable):
    """A chain's head was not where the writer had read it."""


class DiskFull(LedgerUnavailable):
    """There is no room for the change; nothing of it is kept."""


class LedgerNotAnswering(LedgerUnavailable):
    """The store does not answer, is held by another writer for too long, or its disk fails."""


class LogNotContinued(LedgerUnavailable):
    """The log does not continue what was signed last, so nothing may be added to it."""


class UnloggedChange(LedgerUnavailable):
    """A protected table would have changed without a log entry."""
