"""`dealbook audit bench` measures real work on a real log."""

import json
from pathlib import Path

from tests.support.commands import run_dealbook


def test_it_measures_appending_verifying_and_a_dossier(tmp_path: Path) -> None:
    """Each step says how many entries it went through; verifying stands beside its yardstick."""
    done = run_dealbook(tmp_path, "audit", "bench", "--entries", "1000", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    figures = {row["step"]: row for row in json.loads((tmp_path / "bench" / "log.json").read_text())}
    assert figures["verify everything"]["entries"] == 1_202, "1,000 appended, a deal of 200, its agent, the log's first"
    assert figures["verify everything"]["ratio"] > 1
    assert figures["dossier of a deal of 200"]["entries"] == 200
    assert "verify everything" in done.stdout
