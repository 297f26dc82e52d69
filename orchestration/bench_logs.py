"""Long logs for benches, made quickly: that of a sample, again and again with other ids."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ledger.log.entry import hash_leaf
from ledger.settings import PROJECT_DIR, Settings


def run_verb(place: Settings, *words: str) -> None:
    """Run a verb of the product in its own process. Raises CalledProcessError where it fails."""
    environment = {**os.environ, "DEALBOOK_HOME": str(place.home), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "dealbook", *words]
    subprocess.run(command, env=environment, cwd=PROJECT_DIR, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (our own verbs)


def lengthen_log(sample: Settings, longer: Settings, entries: int) -> None:
    """Make a ledger whose log has so many entries, or add what lacks to one: those of the sample, over and over.

    It is good for reading alone: neither its chains nor its tables follow from the entries.
    """
    longer.home.mkdir(exist_ok=True)
    path = longer.home / "ledger.sqlite3"
    with closing(sqlite3.connect(sample.home / "ledger.sqlite3")) as source:
        if not path.exists():
            source.execute("VACUUM INTO ?", [str(path)])
        source.row_factory = sqlite3.Row
        rows = [dict(row) for row in source.execute("SELECT * FROM audit_logs ORDER BY n")]
    with closing(sqlite3.connect(path)) as log:
        [there] = log.execute("SELECT count(*) FROM audit_logs").fetchone()
        add = f"INSERT INTO audit_logs ({', '.join(rows[0])}) VALUES ({', '.join(f':{name}' for name in rows[0])})"  # noqa: S608 (our own names)
        log.executemany(add, _repeated(rows, there, entries))
        log.commit()


def _repeated(rows: list[dict[str, Any]], start: int, end: int) -> Iterator[dict[str, Any]]:
    mark = rows[-1]["subject_id"][:4].encode()  # ids begin with the time: all of the sample's do with the same
    for n in range(start, end):
        turn, place = divmod(n, len(rows))
        row = rows[place]
        body = row["body"].replace(mark, b"f%03x" % turn)
        yield {**row, "n": n, "chain": f"{row['chain']}/{turn}", "body": body, "hash": hash_leaf(body)}


def land_log(place: Settings, warehouse_path: Path | None = None) -> int:
    """Land what the warehouse, its own unless another is given, does not have yet; return how many entries that was."""
    from ingestion.landing import land_new_entries
    from ledger.store import Ledger

    ledger = Ledger.open(settings=place)
    try:
        return land_new_entries(ledger, warehouse_path or place.warehouse_path).entries
    finally:
        ledger.close()
