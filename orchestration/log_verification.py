"""Verifies the log beside the landing of its entries: both read every entry, and each keeps one processor busy.

A process of its own, because both are Python: `python -m orchestration.log_verification <from_n>` prints the report as
JSON. Only where many entries are to be read: starting a process costs more than verifying a few.
"""

import os
import subprocess
import sys
from dataclasses import asdict

import msgspec

from ledger.log.audit import audit_log
from ledger.log.verify import ChainReport, verify_chains
from ledger.settings import PROJECT_DIR, Settings, get_settings
from ledger.store import Ledger

WORTH_A_PROCESS = 50_000


def verify_log(settings: Settings, from_n: int) -> ChainReport:
    """Verify the chains of the entries from leaf index `from_n` on, in this process.

    From the first entry on also what no chain shows by itself: that the whole log is the one that was signed.
    """
    ledger = Ledger.open(settings=settings)
    try:
        with ledger.read() as session:
            if from_n:
                return verify_chains(session, since_n=from_n)
            report = audit_log(session, settings)
            return ChainReport(report.entries, report.chains, report.findings)
    finally:
        ledger.close()


class LogVerification:
    """A run's verification of the log: begun when it is known what to verify, asked for when it must be known."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._from_n = 0
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self, from_n: int, entries: int) -> None:
        """Begin to verify from leaf index `from_n` on, where `entries` are enough to be worth it."""
        if entries < WORTH_A_PROCESS or self._child:
            return
        settings = {
            f"DEALBOOK_{name.upper()}": str(value)
            for name, value in self._settings.model_dump().items()
            if name in Settings.model_fields and value not in (None, "")
        }
        self._from_n = from_n
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "orchestration.log_verification", str(from_n)],
            cwd=PROJECT_DIR,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def report(self, from_n: int) -> ChainReport:
        """Return the report from `from_n` on: that of the process, or one made now where it has none of that."""
        child = self._child
        if child and self._from_n == from_n:
            self._child = None
            with child:
                printed, _ = child.communicate()
            if child.returncode == 0:
                return msgspec.json.decode(printed, type=ChainReport)
        return verify_log(self._settings, from_n)

    def stop(self) -> None:
        """End the process if nobody waited for it: its run has failed or was stopped."""
        child, self._child = self._child, None
        if child:
            with child:
                child.kill()


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asdict(verify_log(get_settings(), int(sys.argv[1])))))
