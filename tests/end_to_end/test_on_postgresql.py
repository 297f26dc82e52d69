"""The whole way with the ledger on PostgreSQL: from CRM files to REST, to evidence checked by an outsider, and back."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.commands import get_json, read_json, run_dealbook, serving
from tests.support.postgresql import Server

pytestmark = pytest.mark.slow


def test_a_ledger_on_postgresql_goes_the_whole_way(tmp_path: Path, postgresql_server: Server) -> None:
    """Import, refresh, REST, verification with tables, a dossier that verifies without any of it. Nothing of the ledger
    lies in a file. Moved to SQLite it is the same log, and the server takes no more of it."""
    home, database = tmp_path / "home", postgresql_server.new_database()
    settings = {"DEALBOOK_LEDGER_URL": postgresql_server.address(database), "DEALBOOK_PORT": "0"}
    made = run_dealbook(home, "demo", "--deals", "60", "--agents", "5", "--years", "1", **settings)
    assert made.returncode == 0, made.stderr
    assert read_json(home, "refresh", **settings)["outcome"] == "published"
    assert not (home / "ledger.sqlite3").exists()
    token = read_json(home, "token", "create", "--role", "manager", "--email", "m@example.com", **settings)["token"]
    with serving(home, tmp_path / "serve.log", "serve", **settings) as server:
        server.wait_for("Serving on")
        address = server.address_of("Serving on") + "/api/v1"
        board = get_json(f"{address}/performance/leaderboard?limit=200", token)["items"]
        won = get_json(f"{address}/deals?status=closed_won&limit=200", token)["items"]
        assert sum(row["deals_closed_won"] for row in board) == len(won) > 0
        deal = won[0]["id"]
        assert get_json(f"{address}/deals/{deal}/timeline", token)["items"]
    report = read_json(home, "audit", "verify", "--state", **settings)
    assert (report["verdict"], report["findings"]) == ("sound", [])

    archive, key = tmp_path / "outside" / "dossier.zip", tmp_path / "outside" / "key.txt"
    archive.parent.mkdir()
    assert run_dealbook(home, "audit", "dossier", deal, "--out", str(archive), **settings).returncode == 0
    key.write_text(run_dealbook(home, "audit", "key", **settings).stdout)
    with zipfile.ZipFile(archive) as files:
        (archive.parent / "verify.py").write_bytes(files.read("verify.py"))
    program = [sys.executable, "-I", "-S", "-B", "verify.py", "--key", "key.txt", "dossier.zip"]
    outsider = subprocess.run(program, cwd=archive.parent, capture_output=True, text=True, timeout=120, env={})
    assert outsider.returncode == 0, outsider.stdout + outsider.stderr

    moved = json.loads(run_dealbook(home, "ledger", "move", "--to", "sqlite", "--json", **settings).stdout)
    assert moved["source"]["root"] == moved["target"]["root"]
    assert read_json(home, "audit", "verify")["root"] == moved["source"]["root"]
    refused = run_dealbook(home, "audit", "checkpoint", **settings)
    assert (refused.returncode, "was moved to" in refused.stderr) == (2, True), refused.stderr
    postgresql_server.drop_database(database)
