#!/usr/bin/env python3
"""Checks an evidence dossier of a deal, with nothing but Python (3.9 or newer) and, for signatures, `openssl` or the
package `cryptography`. No connection, no account, no part of the system that made the dossier.

    python3 verify.py --key 'dealbook/0198…+a1b2c3d4+AT…'              this folder
    python3 verify.py --key auditor-key.txt DOSSIER.zip                a dossier elsewhere, a folder or a .zip
    python3 verify.py --key … --checkpoint kept-in-march.txt           and compare with a checkpoint kept elsewhere

The public key must come by another way than the dossier: from the agency's letterhead, an auditor, an earlier contract.
A key that travels with the evidence proves nothing, because whoever forges one forges the other.

Exit codes: 0 everything holds; 1 something was altered; 2 it cannot be decided, and what is missing is said.

The files: entries.jsonl (what was recorded about the deal, each line as it was hashed), head.tlog-proof (the last
entry is in the log), heads.tlog-proof (and was the deal's last when the dossier was made), checkpoint (what the log had
signed before that), consistency (the log at the time of the dossier continues it), vkeys.txt (public keys and their
history), timeline.html (the same for people), verify.py (this program). Formats: C2SP tlog-proof, tlog-checkpoint,
signed-note, tlog-witness (for `consistency`); RFC 6962 hashes; RFC 8785 JSON.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

FILES = (
    "entries.jsonl",
    "head.tlog-proof",
    "heads.tlog-proof",
    "checkpoint",
    "consistency",
    "vkeys.txt",
    "timeline.html",
    "verify.py",
)
BOUND = ("timeline.html", "vkeys.txt", "verify.py")
PROVES = (
    "Every line of entries.jsonl is, byte for byte, what the log held when its newest checkpoint was signed.",
    "The lines are complete and in order: nothing was left out, put in or moved.",
    "No later entry about this deal was in the log at the moment the dossier was made.",
    "The log at that moment continues the older checkpoint in the dossier: between the two nothing was rewritten.",
    "The texts that timeline.html shows in plain words are those that the entries committed to when they were written.",
)
PROVES_NOT = (
    "That what was recorded is true: an entry proves who recorded what and when, not that it happened.",
    "Anything recorded after the dossier was made.",
    "That there is no second log: compare the checkpoint with one that somebody else has kept (--checkpoint).",
    "Texts that stay commitments (64 hex digits): they are personal data of others, or were erased.",
    "Anything at all, if the public key came together with the dossier, or this program did and was never compared.",
)
Ed25519 = Callable[[bytes, bytes, bytes], bool]
"""From public key, signature and message to whether it was signed so."""
_SPKI = bytes.fromhex("302a300506032b6570032100")  # an Ed25519 public key follows (RFC 8410)


class Wrong(Exception):  # noqa: N818 - a finding
    """Something is not as it must be."""


class Key(NamedTuple):
    """A public key: the log's name, the four bytes that name the key in a note, 32 bytes."""

    name: str
    key_id: bytes
    public: bytes

    @property
    def vkey(self) -> str:
        """The key as a line of text."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([1]) + self.public).decode()}"


class Note(NamedTuple):
    """A signed text: `signatures` are (name, key id, signature)."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.text.split("\n")[:-1]


class Checkpoint(NamedTuple):
    """What a log states about itself."""

    note: Note
    origin: str
    size: int
    root: bytes


class Proof(NamedTuple):
    """The path from an entry to the root of a checkpoint."""

    extra: bytes
    place: int
    path: list[bytes]
    checkpoint: Checkpoint


# --- formats ---------------------------------------------------------------------------------------------------------


def decode_base64(text: str) -> bytes:
    """Return the bytes of strict base64; the one text that stands for them."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Wrong(f"{text[:60]!r} is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Wrong(f"{text[:60]!r} is not base64 in its one form")
    return raw


def decode_hash(text: str) -> bytes:
    """Return a hash of 32 bytes."""
    raw = decode_base64(text)
    if len(raw) != 32:
        raise Wrong(f"{text[:60]!r} is not a hash of 32 bytes")
    return raw


def decode_number(text: str) -> int:
    """Return a number in its one form."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", text):
        raise Wrong(f"{text[:40]!r} is not a number")
    return int(text)


def parse_key(line: str) -> Key:
    """Return the key of a line `<name>+<key id>+<base64>`."""
    name, _, rest = line.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = decode_base64(encoded)
    if len(raw) != 33 or raw[:1] != b"\x01" or not name:
        raise Wrong(f"{line.strip()[:80]!r} is not an Ed25519 key of a log")
    if sha256(name.encode() + b"\n" + raw).digest()[:4].hex() != key_id:
        raise Wrong(f"the key id {key_id[:20]!r} is not that of the key beside it")
    return Key(name, bytes.fromhex(key_id), raw[1:])


def parse_note(text: str) -> Note:
    """Return a signed note (C2SP signed-note)."""
    body, gap, tail = text.rpartition("\n\n")
    signatures = []
    for line in tail.split("\n")[:-1] if tail.endswith("\n") else []:
        match = re.fullmatch("— (\\S+) (\\S+)", line)
        if match is None:
            raise Wrong("a signature line cannot be read")
        raw = decode_base64(match[2])
        signatures.append((match[1], raw[:4], raw[4:]))
    if len(set(signatures)) != len(signatures):
        raise Wrong("a signature stands there twice")
    if not gap or not signatures:
        raise Wrong("a signed text, an empty line and signatures are due")
    return Note(body + "\n", signatures)


def parse_checkpoint(text: str) -> Checkpoint:
    """Return a checkpoint (C2SP tlog-checkpoint)."""
    note = parse_note(text)
    if len(note.lines) != 3:
        raise Wrong("a checkpoint has three lines: name, size, root")
    return Checkpoint(note, note.lines[0], decode_number(note.lines[1]), decode_hash(note.lines[2]))


def parse_proof(text: str) -> Proof:
    """Return a proof of inclusion (C2SP tlog-proof)."""
    head, _, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Wrong("the first line is not c2sp.org/tlog-proof@v1")
    extra = decode_base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else b""
    if not lines or not lines[0].startswith("index "):
        raise Wrong("the line `index` is missing")
    index = decode_number(lines.pop(0)[6:])
    return Proof(extra, index, [decode_hash(line) for line in lines], parse_checkpoint(checkpoint))


def parse_consistency(text: str) -> tuple[int, list[bytes], Checkpoint]:
    """Return old size, path and new checkpoint (as C2SP tlog-witness has it: `old <size>`, path, checkpoint)."""
    head, _, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not lines[0].startswith("old "):
        raise Wrong("the line `old` is missing")
    return decode_number(lines[0][4:]), [decode_hash(line) for line in lines[1:]], parse_checkpoint(checkpoint)


def parse_entry(body: bytes) -> dict[str, Any]:
    """Return an entry; its bytes must be the one form that its content has (RFC 8785)."""
    try:
        document = json.loads(body.decode("utf-8"))
        form = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, UnicodeError, RecursionError):
        raise Wrong("an entry is not JSON") from None
    if form != body or not isinstance(document, dict):
        raise Wrong("an entry is not in canonical form")
    return document


# --- hashes (RFC 6962, RFC 9162) -------------------------------------------------------------------------------------


def hash_leaf(body: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\x00" + body).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash over two nodes."""
    return sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, root: bytes, path: list[bytes]) -> None:
    """Raise unless `path` leads from `leaf`, number `index` of `size`, to `root`."""
    if not 0 <= index < size:
        raise Wrong(f"there is no place {index} among {size}")
    node, place, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise Wrong("the path is longer than the tree is high")
        if place & 1 or place == last:
            node = hash_children(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = hash_children(node, sibling)
        place, last = place >> 1, last >> 1
    if last or node != root:
        raise Wrong("the path does not lead to the root that was signed")


def check_consistency(old_size: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> None:
    """Raise unless `path` shows that the tree of `size` begins with that of `old_size`."""
    if not 1 <= old_size <= size:
        raise Wrong(f"a log of {size} entries has no beginning of {old_size}")
    if old_size == size:
        if path or old_root != root:
            raise Wrong("two checkpoints of one size differ")
        return
    nodes = list(path) if old_size & (old_size - 1) else [old_root, *path]
    if not nodes:
        raise Wrong("the path is empty")
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = new_node = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            raise Wrong("the path is longer than the tree is high")
        if place & 1 or place == last:
            old_node, new_node = hash_children(sibling, old_node), hash_children(sibling, new_node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_node = hash_children(new_node, sibling)
        place, last = place >> 1, last >> 1
    if last or old_node != old_root or new_node != root:
        raise Wrong("the path does not lead from the older root to the newer")


# --- signatures ------------------------------------------------------------------------------------------------------


def check_with_cryptography(public: bytes, signature: bytes, message: bytes) -> bool:
    """Check an Ed25519 signature with the package `cryptography`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_with_openssl(public: bytes, signature: bytes, message: bytes) -> bool:
    """Check an Ed25519 signature with the command `openssl` (3.0 or newer)."""
    with tempfile.TemporaryDirectory() as folder:
        key, sign, text = Path(folder, "key"), Path(folder, "signature"), Path(folder, "message")
        key.write_bytes(_SPKI + public)
        sign.write_bytes(signature)
        text.write_bytes(message)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", str(key), "-rawin"]
        command += ["-in", str(text), "-sigfile", str(sign)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def find_signature_check(wanted: str) -> Ed25519 | None:
    """Return the way to check signatures that works here; both are tried on a known signature (RFC 8032, 7.1)."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    ways = {"cryptography": check_with_cryptography, "openssl": check_with_openssl}
    for name, check in ways.items():
        if wanted in (name, "auto"):
            try:
                if check(public, signature, b"r") and not check(public, signature, b"another"):
                    return check
            except (ImportError, OSError):
                continue
    return None


class Keys:
    """Which keys sign for this log, and up to which size: the history that vkeys.txt tells.

    A rotation is signed by the old key and the new one, so trust in either gives trust in the other: in the old one
    up to the size at which it was retired. A revocation is signed by a later key and names the last size to be trusted.
    """

    def __init__(self, text: str, check: Ed25519) -> None:
        self._check = check
        parts = text.split("\n\n")
        self.listed = [parse_key(line) for line in parts[0].strip().split("\n")]
        self._rotations: list[tuple[str, str, int]] = []
        self._revocations: list[tuple[str, int, list[str]]] = []
        if len(parts) % 2 == 0:
            raise Wrong("vkeys.txt: keys are due, then statements about them")
        for body, tail in zip(parts[1::2], parts[2::2]):  # noqa: B905 - `strict` is newer than Python 3.9
            self._read_statement(parse_note(f"{body}\n\n{tail.rstrip()}\n"))

    def _read_statement(self, note: Note) -> None:
        lines = note.lines
        kind = lines[0] if lines else ""
        fields = dict(line.partition(" ")[::2] for line in lines[2:])
        signers = [key.vkey for key in self.listed if self.is_signed(note, key)]
        if kind == "dealbook key rotation" and {fields.get("old"), fields.get("new")} <= set(signers):
            self._rotations.append((fields["old"], fields["new"], decode_number(fields.get("size", ""))))
        elif kind == "dealbook key revocation" and signers:
            self._revocations.append((fields.get("key", ""), decode_number(fields.get("trusted", "")), signers))
        else:
            raise Wrong(f"vkeys.txt: {kind[:60]!r} is not a statement that the log's keys have signed")

    def is_signed(self, note: Note, key: Key) -> bool:
        """Say whether `key` has signed; raise where a signature in its name is not its own."""
        found = False
        for name, key_id, signature in note.signatures:
            if (name, key_id) == (key.name, key.key_id):
                if not self._check(key.public, signature, note.text.encode()):
                    raise Wrong(f"the signature by key {key_id.hex()} was not made over this text")
                found = True
        return found

    def trust(self, given: list[Key]) -> dict[str, int | None]:
        """Return the keys to be trusted, each with the last size it may sign (None: no end), from those given."""
        trusted: dict[str, int | None] = {key.vkey: None for key in given}
        revoked = {key: size for key, size, _ in self._revocations}
        changed = True
        while changed:
            before = set(trusted)
            for old, new, size in self._rotations:
                if old in trusted and revoked.get(old, size) >= size:
                    trusted.setdefault(new, None)
                if new in trusted:
                    trusted.setdefault(old, size)
            changed = set(trusted) != before
        ends = [(old, size) for old, _, size in self._rotations]
        ends += [(key, size) for key, size, signers in self._revocations if set(signers) & set(trusted)]
        for vkey, size in ends:
            if vkey in trusted:
                end = trusted[vkey]
                trusted[vkey] = size if end is None else min(size, end)
        return trusted


# --- the dossier -----------------------------------------------------------------------------------------------------


class Report:
    """What was found: (verdict, words) where the verdict is ok, WRONG or OPEN."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def note(self, verdict: str, words: str) -> None:
        """Add a line."""
        self.lines.append((verdict, words))

    def attempt(self, words: str, step: Callable[[], Any]) -> Any:
        """Do a step; whatever goes wrong in it is a finding, and its result None."""
        try:
            result = step()
        except Wrong as wrong:
            self.note("WRONG", f"{words}: {wrong}")
            return None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            self.note("WRONG", f"{words}: it is not in the form that is due ({type(error).__name__})")
            return None
        self.note("ok", words)
        return result

    @property
    def exit_code(self) -> int:
        """0, 1 or 2, as the top of this file says."""
        verdicts = {verdict for verdict, _ in self.lines}
        return 1 if "WRONG" in verdicts else 2 if "OPEN" in verdicts else 0


def check_chain(content: bytes) -> list[dict[str, Any]]:
    """Return the entries, having checked that each follows the one before it."""
    if not content.endswith(b"\n"):
        raise Wrong("the last line is cut short")
    prev, at = "0" * 64, ""
    entries: list[dict[str, Any]] = []
    for number, body in enumerate(content[:-1].split(b"\n"), start=1):
        entry = parse_entry(body)
        if entry["seq"] != number or isinstance(entry["seq"], bool):
            raise Wrong(f"line {number} is entry {entry['seq']} of its chain")
        if entry["prev"] != prev:
            raise Wrong(f"line {number} does not follow the line before it")
        if entries and (entry["chain"], entry["log"]) != (entries[0]["chain"], entries[0]["log"]):
            raise Wrong(f"line {number} is about something else")
        if entry["at"] < at:
            raise Wrong(f"line {number} was recorded before the line before it")
        prev, at = hash_leaf(body).hex(), entry["at"]
        entries.append(entry)
    if not entries[0]["chain"].startswith("deal:"):
        raise Wrong("these are not the entries of a deal")
    return entries


def check_head(content: bytes, proof: Proof) -> bytes:
    """Return the hash of the deal's last entry, having checked that the log holds it."""
    leaf = hash_leaf(content[:-1].rpartition(b"\n")[2])
    check_inclusion(leaf, proof.place, proof.checkpoint.size, proof.checkpoint.root, proof.path)
    if proof.extra:
        raise Wrong("it carries something that does not belong there")
    return leaf


def check_heads(files: dict[str, bytes], last: dict[str, Any], head: Proof, proof: Proof) -> dict[str, Any]:
    """Return the entry over all heads, having checked that the log holds it and the deal's last entry is among them."""
    extra = parse_entry(proof.extra)
    if set(extra) != {"entry", "path", "place"}:
        raise Wrong("entry, path and place are due")
    body = extra["entry"].encode()
    entry = parse_entry(body)
    check_inclusion(hash_leaf(body), proof.place, proof.checkpoint.size, proof.checkpoint.root, proof.path)
    data = entry["data"]
    if (entry["type"], entry["chain"], entry["log"]) != ("heads.recorded", "sys", last["log"]):
        raise Wrong("the entry is not one over all heads of this log")
    if not head.place < data["size"] <= proof.place:
        raise Wrong("it does not look back on the deal's last entry")
    leaf = hash_leaf(files["entries.jsonl"][:-1].rpartition(b"\n")[2])
    receipt = f"{last['chain']};{last['seq']};{leaf.hex()}"
    path = [decode_hash(text) for text in extra["path"]]
    check_inclusion(hash_leaf(receipt.encode()), extra["place"], data["chains"], bytes.fromhex(data["root"]), path)
    if "deal:" + data["dossier"]["deal_id"] != last["chain"]:
        raise Wrong("the entry was written for another dossier")
    return entry


def check_files(files: dict[str, bytes], heads: dict[str, Any]) -> None:
    """Raise unless the files are those whose hashes were recorded when the dossier was made."""
    stated = {each["name"]: each["sha256"] for each in heads["data"]["dossier"]["files"]}
    altered = [name for name in BOUND if sha256(files[name]).hexdigest() != stated.get(name)]
    if altered or set(stated) != set(BOUND):
        raise Wrong(f"altered since the dossier was made: {', '.join(altered)}")


def check_texts(page: str, entries: list[dict[str, Any]]) -> int:
    """Return how many texts the page opens, having checked each against the commitment in an entry."""
    match = re.search(r'<script type="application/json" id="texts">(.*?)</script>', page, re.DOTALL)
    texts = json.loads(match[1]) if match else []
    known = set(re.findall(r'"([0-9a-f]{64})"', json.dumps([entry["data"] for entry in entries])))
    for each in texts:
        commitment = sha256(bytes.fromhex(each["salt"]) + each["text"].encode()).hexdigest()
        if commitment != each["commitment"] or commitment not in known:
            raise Wrong(f"the text behind {each['commitment'][:16]}… is not the one that was written")
    return len(texts)


def check_signature(keys: Keys, trusted: dict[str, int | None], checkpoint: Checkpoint, name: str) -> str:
    """Return the key id that signed, having checked that it may; `name` is the log's."""
    if checkpoint.origin != name:
        raise Wrong(f"it is a checkpoint of {checkpoint.origin}, the entries are of {name}")
    known = {key.vkey: key for key in keys.listed}
    for vkey, end in trusted.items():
        key = known.get(vkey) or parse_key(vkey)
        if key.name == name and keys.is_signed(checkpoint.note, key):
            if end is not None and checkpoint.size > end:
                raise Wrong(f"key {key.key_id.hex()} counts up to size {end} only, this one is {checkpoint.size}")
            return key.key_id.hex()
    raise Wrong("it is not signed by a key that you trust")


def verify(files: dict[str, bytes], given: list[Key], check: Ed25519 | None, kept: list[str]) -> Report:
    """Check everything that can be checked and return the report."""
    report = Report()
    missing = [name for name in FILES if name not in files]
    if missing:
        report.note("WRONG", f"missing from the dossier: {', '.join(missing)}")
        return report

    def text(name: str) -> str:
        return files[name].decode("utf-8")

    entries = report.attempt("every entry follows the one before it", lambda: check_chain(files["entries.jsonl"]))
    head = report.attempt("head.tlog-proof can be read", lambda: parse_proof(text("head.tlog-proof")))
    heads = report.attempt("heads.tlog-proof can be read", lambda: parse_proof(text("heads.tlog-proof")))
    older = report.attempt("checkpoint can be read", lambda: parse_checkpoint(text("checkpoint")))
    step = report.attempt("consistency can be read", lambda: parse_consistency(text("consistency")))
    if not (entries and head and heads and older and step):
        return report
    old_size, path, newest = step
    if not head.checkpoint == heads.checkpoint == newest:
        report.note("WRONG", "the proofs are not all about one checkpoint")
    report.attempt("the last entry is in the log", lambda: check_head(files["entries.jsonl"], head))
    over = report.attempt(
        "it was the deal's last when the dossier was made", lambda: check_heads(files, entries[-1], head, heads)
    )
    if over:
        report.attempt("the page, the keys and the program are those recorded then", lambda: check_files(files, over))
    report.attempt("the texts on the page are those committed to", lambda: check_texts(text("timeline.html"), entries))

    def continues() -> None:
        if old_size != older.size:
            raise Wrong(f"it begins at {old_size}, the older checkpoint is of {older.size}")
        check_consistency(older.size, older.root, newest.size, newest.root, path)

    report.attempt(f"the log of {newest.size} entries continues that of {older.size}", continues)
    for name in kept:
        compare_kept(report, name, [older, newest])
    check_all_signatures(report, files["vkeys.txt"], given, check, entries[0]["log"], [older, newest])
    return report


def compare_kept(report: Report, name: str, ours: list[Checkpoint]) -> None:
    """Compare a checkpoint that was kept elsewhere with those of the dossier."""
    theirs = report.attempt(f"{name} can be read", lambda: parse_checkpoint(Path(name).read_text(encoding="utf-8")))
    if theirs is None:
        return
    same = [each for each in ours if each.size == theirs.size]
    if not same:
        sizes = " or ".join(str(each.size) for each in ours)
        report.note("OPEN", f"{name} is of size {theirs.size}; this dossier can be compared with one of size {sizes}")
    elif (theirs.origin, theirs.root) != (same[0].origin, same[0].root):
        report.note("WRONG", f"{name} states another log of size {theirs.size}: history was rewritten")
    else:
        report.note("ok", f"{name} agrees")


def check_all_signatures(
    report: Report, vkeys: bytes, given: list[Key], check: Ed25519 | None, name: str, checkpoints: list[Checkpoint]
) -> None:
    """Check who signed; without a key from elsewhere it stays open."""
    if check is None:
        report.note("OPEN", "no signature can be checked here: install `openssl` 3 or `pip install cryptography`")
        return
    keys = report.attempt("the keys' own history is signed", lambda: Keys(vkeys.decode("utf-8"), check))
    if keys is None:
        return
    trusted = keys.trust(given or keys.listed)
    for checkpoint in checkpoints:
        step = partial(check_signature, keys, trusted, checkpoint, name)
        report.attempt(f"the checkpoint of size {checkpoint.size} is signed", step)
    if not given:
        report.note("OPEN", "signed by the keys in vkeys.txt, which came with the dossier: give yours with --key")


def read_files(place: Path) -> dict[str, bytes]:
    """Return the files of a dossier, from a folder or a .zip."""
    if place.is_dir():
        return {name: (place / name).read_bytes() for name in FILES if (place / name).is_file()}
    with zipfile.ZipFile(place) as archive:
        return {name: archive.read(name) for name in FILES if name in archive.namelist()}


def render(report: Report, files: dict[str, bytes]) -> str:
    """Return the report as text."""
    verdict = {0: "EVERYTHING HOLDS", 1: "ALTERED: do not rely on it", 2: "UNDECIDED"}[report.exit_code]
    count = files.get("entries.jsonl", b"").count(b"\n")
    lines = [f"{verdict} ({count} entries)", *(f"  {each:<5} {words}" for each, words in report.lines)]
    lines += ["What a sound dossier proves:", *(f"  - {each}" for each in PROVES)]
    lines += ["What it does not prove:", *(f"  - {each}" for each in PROVES_NOT)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check the dossier that the command line names."""
    parser = argparse.ArgumentParser(description="Checks an evidence dossier. The top of this file says more.")
    parser.add_argument("dossier", nargs="?", type=Path, default=Path(__file__).resolve().parent, help="folder or .zip")
    parser.add_argument("--key", action="append", default=[], metavar="KEY", help="public key, or a file of them")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint kept elsewhere")
    parser.add_argument("--signatures", choices=("auto", "cryptography", "openssl"), default="auto")
    options = parser.parse_args()
    given: list[Key] = []
    try:
        for word in options.key:
            lines = word if "+" in word else Path(word).read_text(encoding="utf-8")
            given += [parse_key(line) for line in lines.splitlines() if line.strip()]
        files = read_files(options.dossier)
    except (OSError, Wrong, UnicodeError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"It cannot be read: {error}\n")
        return 2
    report = verify(files, given, find_signature_check(options.signatures), options.checkpoint)
    sys.stdout.write(render(report, files))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
