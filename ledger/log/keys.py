"""The keys that sign the log: Ed25519, named and written as C2SP signed-note has it.

In the folder of keys, all readable by the owner alone:

    <key id>.pem      the private key
    <key id>.pending  the one that takes over, while a rotation is under way
    <key id>.vkey     the public key as a line of text, also of keys that were retired

The key id is SHA-256(name || 0x0A || 0x01 || public key), its first four bytes; the name is the log's origin. The
public line is also in the log's first entry, but whoever edits the database can edit that: it is trusted from the
folder of keys, or from wherever the verifier got it.
"""

import base64
import binascii
import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.errors import KeysExposed, LedgerNotInitialised, ProofInvalid
from ledger.log.entry import decode_body
from ledger.tables.log import AuditLog

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]{1,100}\Z")


def make_key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes that name a key within a signed note."""
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that checks signatures: its name and 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name it in a note."""
        return make_key_id(self.name, self.public)

    @property
    def vkey(self) -> str:
        """The line of text by which it is handed to others."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> "PublicKey":
        """Return the key that a line `<name>+<id>+<base64>` holds; raise `ProofInvalid` for anything else."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        if not _NAME.match(name) or len(raw) != 33 or raw[:1] != ED25519:
            raise ProofInvalid(f"{vkey.strip()[:200]!r} is not the public key of a log: <name>+<key id>+<base64>.")
        key = cls(name, raw[1:])
        if key.key_id.hex() != key_id:
            raise ProofInvalid(f"The key id {key_id[:20]!r} is not that of the key beside it.")
        return key

    def is_signature(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` was made over `message` by the private half of this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs, and its public half."""

    public_key: PublicKey
    private: "Ed25519PrivateKey"

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`, 64 bytes."""
        return self.private.sign(message)


def list_private_keys(keys_dir: Path) -> list[Path]:
    """Return the files of the private keys; raise `KeysExposed` when others may read one."""
    paths = sorted(keys_dir.glob("*.pem"))
    for path in paths:
        check_private(path)
    return paths


def check_private(path: Path) -> None:
    """Raise `KeysExposed` when others than the owner may read the file or change it."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeysExposed(f"{path} can be read by others (mode {mode:04o}). Run `chmod 600 {path}`.")


def make_key(keys_dir: Path, name: str, suffix: str = ".pem") -> SigningKey:
    """Make a key in `<key id>.pem`, mode 0600, and return it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    key = SigningKey(PublicKey(name, private.public_key().public_bytes_raw()), private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(keys_dir / f"{key.public_key.key_id.hex()}{suffix}", pem)
    return key


def load_key(keys_dir: Path, name: str, path: Path | None = None) -> SigningKey:
    """Return the key that signs for the log called `name`, from its only private key unless `path` names one.

    Raises `LedgerNotInitialised` where there is none, `KeysExposed` when others may read it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if path is None:
        paths = list_private_keys(keys_dir)
        if not paths:
            raise LedgerNotInitialised(
                f"There is no signing key in {keys_dir}. Restore it from its backup, or run `dealbook init`."
            )
        path = paths[0]
    check_private(path)
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise ProofInvalid(f"{path} holds no key that can be read. Restore it from its backup.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ProofInvalid(f"{path} holds no Ed25519 key. Restore it from its backup.")
    return SigningKey(PublicKey(name, private.public_key().public_bytes_raw()), private)


def load_current_key(session: Session, keys_dir: Path, name: str) -> SigningKey:
    """Return the key that the log named last, having finished a rotation that a crash has interrupted.

    To be called by whoever holds the signer alone. Raises `LedgerNotInitialised` when its private half is not here.
    """
    named = read_introduced_keys(session)
    for path in sorted(keys_dir.glob("*.pending")):
        pending = load_key(keys_dir, name, path).public_key
        if pending.vkey in named:
            publish_key(keys_dir, pending)
            path.rename(path.with_suffix(".pem"))
        else:
            path.unlink()  # the rotation never came about
    keys = [(path, load_key(keys_dir, name, path)) for path in list_private_keys(keys_dir)]
    current = next((key for _, key in keys if key.public_key.vkey == named[-1]), None) if named else None
    if current is None:
        raise LedgerNotInitialised(
            f"The log is signed with {named[-1]}, whose private key is not in {keys_dir}. Restore it from its backup."
            if named
            else "The log names no key to be signed with. Run `dealbook init`."
        )
    for path, key in keys:
        if key is not current:
            path.unlink()  # retired: nobody shall sign with it again
    return current


def publish_key(keys_dir: Path, key: PublicKey) -> Path:
    """Write the public line beside the private key: from then on the key counts as introduced in the log."""
    path = keys_dir / f"{key.key_id.hex()}.vkey"
    write_private(path, key.vkey.encode() + b"\n")
    return path


def trusted_keys(keys_dir: Path) -> dict[bytes, PublicKey]:
    """Return the public keys of the folder, retired ones too, by key id."""
    keys = [PublicKey.parse(path.read_text(encoding="utf-8")) for path in sorted(keys_dir.glob("*.vkey"))]
    return {key.key_id: key for key in keys}


def read_introduced_keys(session: Session) -> list[str]:
    """Return the public lines that the log itself names, in the order of their entries."""
    types = ("log.opened", "key.introduced", "key.rotated")
    query = select(AuditLog.body).where(AuditLog.chain == "sys", AuditLog.type.in_(types)).order_by(AuditLog.seq)
    named = [decode_body(body)["data"].get("key") for body in session.scalars(query)]
    return [vkey for vkey in named if vkey]


def is_key_introduced(keys_dir: Path) -> bool:
    """Whether there is a signing key that the log has introduced; raise `KeysExposed` when others may read it."""
    paths = list_private_keys(keys_dir)
    return bool(paths) and all(path.with_suffix(".vkey").exists() for path in paths)


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, synchronised, mode 0600."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
