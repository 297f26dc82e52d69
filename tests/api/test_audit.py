"""A deal's entries over REST: enough for a client to recompute every hash by itself."""

import io
import json
import zipfile
from hashlib import sha256
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.dossier import verify
from ledger.log.checkpoint import make_checkpoint
from ledger.log.keys import trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.tree import check_consistency, check_inclusion
from ledger.store import Ledger
from tests.api.conftest import People, problem_of
from tests.api.test_attachments import GRACE
from tests.api.test_deals import move, open_deal


def read_chain(client: TestClient, people: People, deal_id: str, limit: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        parameters = {"limit": str(limit), **cursor}
        page = client.get(f"/api/v1/deals/{deal_id}/audit", params=parameters, headers=people.viewer.auth).json()
        entries += page["items"]
        if page["next_cursor"] is None:
            return entries
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_a_client_can_follow_the_chain_to_its_receipt(client: TestClient, people: People, limit: int) -> None:
    """Each hash is that of its bytes, each prev the hash before, the last the hash of the receipt that was left."""
    deal = open_deal(client, people.anna)
    open_deal(client, people.ben)
    move(client, people.anna, deal, "proposal")
    added = client.post(f"/api/v1/deals/{deal['id']}/contacts", json=GRACE, headers=people.anna.auth)
    entries = read_chain(client, people, deal["id"], limit)
    assert [entry["type"] for entry in entries] == ["deal.opened", "deal.stage_changed", "contact.recorded"]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    prev = "0" * 64
    for entry in entries:
        assert entry["hash"] == sha256(b"\0" + entry["body"].encode()).hexdigest()
        assert entry["prev"] == json.loads(entry["body"])["prev"] == prev
        assert json.loads(entry["body"])["at"] == entry["at"]
        prev = entry["hash"]
    assert added.headers["audit-receipt"] == f"deal:{deal['id']};3;{prev}"
    assert "nmistakable" not in str(entries), "the log holds commitments to personal data, not the data"


def test_who_may_not_see_the_deal_sees_no_entry(client: TestClient, people: People) -> None:
    """Hidden and missing are the same bytes; a cursor of another list is refused."""
    deal = open_deal(client, people.anna)
    hidden = client.get(f"/api/v1/deals/{deal['id']}/audit", headers=people.ben.auth)
    missing = client.get("/api/v1/deals/nothing/audit", headers=people.ben.auth)
    assert (hidden.status_code, hidden.content) == (404, missing.content)
    wrong = client.get(f"/api/v1/deals/{deal['id']}/audit", params={"cursor": "x"}, headers=people.anna.auth)
    assert (wrong.status_code, problem_of(wrong)) == (422, "cursor-invalid")


def test_proofs_lead_from_any_entry_and_any_older_size_to_the_signed_root(
    client: TestClient, people: People, ledger: Ledger
) -> None:
    """A client that has kept a receipt and a checkpoint needs nothing else to see that neither was rewritten."""
    deal = open_deal(client, people.anna)
    older = make_checkpoint(ledger)
    move(client, people.anna, deal, "proposal")
    newer = make_checkpoint(ledger)
    signed = client.get("/api/v1/audit/checkpoint", headers=people.viewer.auth).json()
    assert signed["note"] == newer.note
    assert Checkpoint.parse(signed["note"]).check_signature(trusted_keys(ledger.settings.keys_dir))
    for entry in read_chain(client, people, deal["id"], 50):
        for size in (None, newer.size) if entry["n"] >= older.size else (None, older.size):
            asked = {"n": entry["n"], **({"size": size} if size else {})}
            proof = client.get("/api/v1/audit/proof/inclusion", params=asked, headers=people.anna.auth).json()
            assert (proof["hash"], proof["checkpoint"]["note"]) == (entry["hash"], newer.note)
            root = {older.size: older.root, newer.size: newer.root}[proof["size"]]
            path = [bytes.fromhex(node) for node in proof["path"]]
            check_inclusion(bytes.fromhex(entry["hash"]), entry["n"], proof["size"], root, path)
    asked = {"from": older.size}
    proof = client.get("/api/v1/audit/proof/consistency", params=asked, headers=people.viewer.auth).json()
    path = [bytes.fromhex(node) for node in proof["path"]]
    check_consistency(older.size, older.root, newer.size, newer.root, path)
    assert (proof["from_root"], proof["to_root"]) == (older.root.hex(), newer.root.hex())


def test_what_cannot_be_proved_is_refused_with_the_reason(client: TestClient, people: People, ledger: Ledger) -> None:
    """Entries beyond the newest checkpoint, sizes that do not exist, a beginning longer than the end."""
    size = make_checkpoint(ledger).size
    for path, parameters in (
        ("inclusion", {"n": size}),
        ("inclusion", {"n": 0, "size": size + 1}),
        ("inclusion", {"n": 1, "size": 1}),
        ("consistency", {"from": size + 1}),
        ("consistency", {"from": 2, "to": 1}),
        ("consistency", {"from": 1, "to": size + 1}),
    ):
        response = client.get(f"/api/v1/audit/proof/{path}", params=parameters, headers=people.viewer.auth)
        assert (response.status_code, problem_of(response)) == (422, "invalid"), (path, parameters)


def test_an_agent_takes_the_evidence_of_their_deal_away(client: TestClient, people: People, ledger: Ledger) -> None:
    """The .zip is sound, holds the receipts that were left, comes back byte for byte, and its own receipt is in it."""
    deal = open_deal(client, people.anna)
    moved = move(client, people.anna, deal, "proposal")
    first = client.post(f"/api/v1/deals/{deal['id']}/evidence", headers=people.anna.auth)
    again = client.post(f"/api/v1/deals/{deal['id']}/evidence", headers=people.manager.auth)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/zip")
    assert again.content == first.content
    assert f"dossier-{deal['id']}.zip" in first.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    keys = [verify.parse_key(key.vkey) for key in trusted_keys(ledger.settings.keys_dir).values()]
    assert verify.verify(files, keys, verify.check_with_cryptography, []).exit_code == 0
    last = files["entries.jsonl"].splitlines()[-1]
    assert moved.headers["audit-receipt"].endswith(sha256(b"\0" + last).hexdigest())
    over = json.loads(verify.parse_proof(files["heads.tlog-proof"].decode()).extra)["entry"].encode()
    assert first.headers["audit-receipt"].endswith(sha256(b"\0" + over).hexdigest())


def test_a_foreign_page_cannot_make_the_log_grow(client: TestClient, people: People) -> None:
    """The session cookie travels with requests of foreign pages; a dossier writes an entry."""
    client.cookies.set("dealbook_session", "anything")
    refused = client.post("/api/v1/deals/x/evidence", headers={"Origin": "https://elsewhere.example"})
    assert (refused.status_code, problem_of(refused)) == (403, "cross-site-request")
