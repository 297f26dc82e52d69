"""The whole answer to "is this the log that was signed?": chains, tree, checkpoints, and on request the tables.

A chain shows edits within itself; that its end was cut off, that it was hashed anew or that a deal is missing shows
only against a signed checkpoint that lies outside the database. So every checkpoint that can be found is compared with
the tree of the entries as they are stored.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.errors import DealbookError, LedgerUnavailable, ProofInvalid
from ledger.log.checkpoint import read_origin
from ledger.log.entry import decode_body
from ledger.log.heads import check_heads
from ledger.log.key_history import KeyHistory, Standing
from ledger.log.keys import PublicKey, trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.signer_state import SignerState, read_state
from ledger.log.tree import CompactRange
from ledger.log.verify import Finding, verify_chains
from ledger.log.witnesses import Witness, read_own_witnesses
from ledger.settings import Settings
from ledger.tables.log import AuditLog, AuditText

LIMITS = (
    "a false entry made by someone who was allowed to make it",
    "what happened to entries newer than the newest checkpoint, beyond the links of their chains",
    "a history signed anew by someone who holds the private key, unless it is compared (--against) with a checkpoint "
    "kept elsewhere",
)
"""What no hash can show; every report says so."""

_HEADS_CHECKED = 3  # each costs a look at every chain; the log itself vouches for the older ones


@dataclass(slots=True)
class AuditReport:
    """What was looked at and found. `undecided` says what could not be judged, `notes` what is worth knowing."""

    size: int
    root: bytes
    entries: int
    chains: int
    checkpoints: int = 0
    signed_size: int = 0
    findings: list[Finding] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 sound, 1 tampered with, 2 cannot decide."""
        return 1 if self.findings else 2 if self.undecided else 0


@dataclass(frozen=True, slots=True)
class _Recovery:
    n: int
    kept_size: int
    lost_size: int

    def is_about(self, size: int) -> bool:
        """Whether a checkpoint of this size was made over entries that were given up."""
        return self.kept_size < size <= self.lost_size


def audit_log(
    session: Session,
    settings: Settings,
    *,
    deal_id: str | None = None,
    since_last: bool = False,
    outside: Sequence[Witness] = (),
    with_state: bool = False,
    vkeys: Sequence[PublicKey] = (),
) -> AuditReport:
    """Verify the log, or one deal's chain within it, against every checkpoint known; return all findings.

    `since_last` begins at the signer's last checkpoint and trusts what was verified up to it. `vkeys` are public keys
    that the verifier got by another way; without any, those in the folder of keys count. `with_state` compares the
    tables with the fold of the log, and the erasable texts with their commitments.
    """
    trusted = {key.key_id: key for key in vkeys}
    report = AuditReport(size=0, root=b"", entries=0, chains=0)
    try:
        trusted = trusted or trusted_keys(settings.keys_dir)
    except DealbookError as error:
        report.undecided.append(error.detail)
    witnesses = [*read_own_witnesses(session, settings), *outside]
    history = _read_key_history(session, report)
    known, doubted = _trust_witnesses(session, witnesses, trusted, history, report)
    start = _start_of(session, settings, report) if since_last else None
    roots = _walk(session, {found.size for found in (*known, *doubted)}, start, deal_id, report)
    recoveries = _compare_roots(session, known, roots, start.size if start else 0, report)
    _compare_doubted(doubted, history, roots, recoveries, start.size if start else 0, report)
    if start is None:
        report.findings += [Finding(n, "sys", problem) for n, problem in check_heads(session, limit=_HEADS_CHECKED)]
    if with_state:
        _compare_state(session, report)
    return report


def _read_key_history(session: Session, report: AuditReport) -> KeyHistory:
    history = KeyHistory.of(session)
    report.findings += [Finding(n, "sys", problem) for n, problem in history.problems]
    return history


def _trust_witnesses(
    session: Session,
    witnesses: Sequence[Witness],
    given: Mapping[bytes, PublicKey],
    history: KeyHistory,
    report: AuditReport,
) -> tuple[dict[Checkpoint, str], dict[Checkpoint, tuple[str, PublicKey]]]:
    """Return the checkpoints whose signature counts, and those from beyond their key's time, each with where it stands;
    note what is wrong with the others."""
    origin = read_origin(session)
    trusted = history.extend_trust(given)
    if not trusted:
        report.undecided.append("no public key is known here, so no signature can be checked: give one with --vkey")
    known: dict[Checkpoint, str] = {}
    doubted: dict[Checkpoint, tuple[str, PublicKey]] = {}
    for witness in witnesses:
        checkpoint = witness.checkpoint
        if checkpoint is None:
            _object(report, f"{witness.place}: no checkpoint that can be read", is_decided=not witness.is_outside)
            continue
        if checkpoint in known or checkpoint in doubted or not trusted:
            continue
        if checkpoint.origin != origin:
            _object(report, f"{witness.place}: a checkpoint of {checkpoint.origin}; this log is called {origin}")
            continue
        try:
            signer = checkpoint.check_signature(trusted)
        except ProofInvalid as error:
            _object(report, f"{witness.place}: {error.detail}")
            continue
        if signer is None:
            _object(report, f"{witness.place}: not signed by a key of this log", is_decided=not witness.is_outside)
            continue
        if signer.vkey not in history.named:
            _object(report, f"{witness.place}: signed by key {signer.key_id.hex()}, which the log does not name")
        is_good = history.judge(signer, checkpoint.size) is Standing.GOOD
        if is_good:
            known[checkpoint] = witness.place
        else:
            doubted[checkpoint] = (witness.place, signer)
    if trusted and not known:
        report.undecided.append(
            "no checkpoint of this log is here, so cut-off or re-hashed entries would not show: give one with --against"
        )
    report.checkpoints = len(known)
    return known, doubted


def _compare_doubted(
    doubted: Mapping[Checkpoint, tuple[str, PublicKey]],
    history: KeyHistory,
    roots: Mapping[int, bytes],
    recoveries: Sequence[_Recovery],
    since: int,
    report: AuditReport,
) -> None:
    """Checkpoints from beyond their key's time prove nothing. They are findings when the key was retired by then, for
    somebody has kept it, or when they state another tree than the log's; not when they are of an accepted loss."""
    for found, (place, key) in doubted.items():
        if found.size < since or any(each.is_about(found.size) for each in recoveries):
            continue
        words = (
            f"{place}: a checkpoint of size {found.size:,} under key {key.key_id.hex()}, {history.describe(key.vkey)}"
        )
        if history.judge(key, found.size) is Standing.RETIRED:
            _object(report, words)
        elif roots.get(found.size) != found.root:
            _object(report, f"{words}, states another log")
    if doubted:
        report.notes.append(f"{len(doubted):,} checkpoints from beyond their keys' time do not count")


def _object(report: AuditReport, problem: str, *, is_decided: bool = True) -> None:
    if is_decided:
        report.findings.append(Finding(None, "log", problem))
    else:
        report.undecided.append(problem)


def _start_of(session: Session, settings: Settings, report: AuditReport) -> SignerState | None:
    try:
        state = read_state(settings)
    except LedgerUnavailable:
        state = None
    if state is None:
        report.notes.append("the signer remembers no checkpoint, so the whole log was verified")
        return None
    if session.scalar(select(AuditLog.hash).where(AuditLog.n == state.size - 1)) != state.last:
        _object(report, f"entry {state.size - 1} is not the one that was signed last, or is missing")
        return None
    return state


def _walk(
    session: Session, sizes: set[int], start: SignerState | None, deal_id: str | None, report: AuditReport
) -> dict[int, bytes]:
    """Verify the chains and return the tree's root at each of `sizes`, as the stored entries have it."""
    tree = start.tree if start else CompactRange()
    roots = {tree.size: tree.root()}
    due = deque(sorted(size for size in sizes if size > tree.size))

    def grow(leaves: list[bytes]) -> None:
        taken = 0
        while due and due[0] <= tree.size + len(leaves) - taken:
            upto = taken + due.popleft() - tree.size
            tree.extend(leaves[taken:upto])
            taken = upto
            roots[tree.size] = tree.root()
        tree.extend(leaves[taken:])

    since_n = tree.size
    if deal_id is None:
        chains = verify_chains(session, since_n=since_n, on_leaves=grow)
    else:
        chains = verify_chains(session, chain=f"deal:{deal_id}")
        grow(list(session.scalars(select(AuditLog.hash).where(AuditLog.n >= since_n).order_by(AuditLog.n))))
        if not chains.entries:
            report.undecided.append(f"the log holds no entry of deal {deal_id}")
    report.entries, report.chains = chains.entries, chains.chains
    report.findings += chains.findings
    report.size, report.root = tree.size, tree.root()
    return roots


def _compare_roots(
    session: Session, known: Mapping[Checkpoint, str], roots: Mapping[int, bytes], since: int, report: AuditReport
) -> list[_Recovery]:
    """Compare what was signed with the entries; return the losses that were accepted."""
    looked_at = [found for found in known if found.size >= since]
    good = [found for found in looked_at if roots.get(found.size) == found.root]
    report.signed_size = max((found.size for found in good), default=0)
    recoveries = _read_recoveries(session, report.signed_size)
    disagreeing = sorted(set(looked_at) - set(good), key=lambda found: found.size)
    bad = [found for found in disagreeing if not any(each.is_about(found.size) for each in recoveries)]
    for each in recoveries:
        report.notes.append(
            f"entry {each.n}: a loss was accepted; {each.lost_size:,} entries had been signed, {each.kept_size:,} kept"
        )
    if bad:
        first, before = bad[0], max((found.size for found in good if found.size < bad[0].size), default=since)
        also = f"; {len(bad) - 1:,} more checkpoints disagree" if len(bad) > 1 else ""
        if first.size > report.size:
            problem = f"the log ends after {report.size:,} entries, but {first.size:,} were signed"
        else:
            problem = (
                f"the first {first.size:,} entries are not those that were signed: "
                f"something between entries {before:,} and {first.size - 1:,} was changed, removed or put in"
            )
        report.findings.append(Finding(None, "log", f"{problem} ({known[first]}{also})"))
    unsigned = report.size - report.signed_size
    if good and unsigned and not bad:
        report.notes.append(f"{unsigned:,} entries are newer than the newest checkpoint")
    return recoveries


def _read_recoveries(session: Session, signed_size: int) -> list[_Recovery]:
    """Return the losses that were accepted; an entry that says so counts only when a checkpoint covers it."""
    found = []
    query = select(AuditLog.n, AuditLog.body).where(AuditLog.chain == "sys", AuditLog.type == "log.recovered")
    for n, body in session.execute(query.where(AuditLog.n < signed_size)):
        try:
            data: dict[str, Any] = decode_body(body)["data"]
            found.append(_Recovery(n, int(data["kept_size"]), int(data["lost_size"])))
        except (ValueError, KeyError, TypeError):
            continue  # the chain says that the body cannot be read
    return found


def _compare_state(session: Session, report: AuditReport) -> None:
    from ledger.rebuild import compare_tables

    try:
        differences = compare_tables(session)
    except Exception as error:
        _object(report, f"the tables cannot be made from the log: {type(error).__name__}: {error}")
        return
    for each in differences:
        what = f"row {each.id}" if each.column is None else f"row {each.id}, column {each.column}"
        values = f"the log says {each.expected!s:.80}, the table {each.found!s:.80}"
        report.findings.append(Finding(None, each.table, f"{what}: {values}"))
    for commitment, salt, text in session.execute(select(AuditText.commitment, AuditText.salt, AuditText.text)):
        if text is not None and sha256((salt or b"") + text.encode()).hexdigest() != commitment:
            report.findings.append(Finding(None, "audit_texts", f"the text behind {commitment} is not the one written"))
