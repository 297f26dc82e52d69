"""How an audit's report is shown: to people as text, to scripts as a document."""

from typing import Any

from ledger.log.audit import LIMITS, AuditReport
from ledger.log.verify import Finding

_VERDICTS = {0: "sound", 1: "NOT SOUND", 2: "cannot decide"}


def report_document(report: AuditReport) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "verdict": {0: "sound", 1: "tampered", 2: "undecided"}[report.exit_code],
        "size": report.size,
        "root": report.root.hex(),
        "entries": report.entries,
        "chains": report.chains,
        "checkpoints": report.checkpoints,
        "signed_size": report.signed_size,
        "findings": [{"n": each.n, "chain": each.chain, "problem": each.problem} for each in report.findings],
        "undecided": report.undecided,
        "notes": report.notes,
        "cannot_show": list(LIMITS),
    }


def render_report(report: AuditReport) -> str:
    """Return the report as lines of text: the verdict, every finding, and what such a check cannot show."""
    lines = [
        f"{report.entries:,} entries in {report.chains:,} chains, {report.checkpoints:,} checkpoints, "
        f"{report.signed_size:,} entries signed: {_VERDICTS[report.exit_code]}"
    ]
    lines += [f"  {describe_finding(finding)}" for finding in report.findings]
    lines += [f"  undecided: {words}" for words in report.undecided]
    lines += [f"  note: {words}" for words in report.notes]
    return "\n".join([*lines, "What this cannot show:", *(f"  - {words}" for words in LIMITS)])


def describe_finding(finding: Finding) -> str:
    """Return a finding as a line: where, and what."""
    place = finding.chain if finding.n is None else f"{finding.chain}, entry {finding.n}"
    return f"{place}: {finding.problem}"
