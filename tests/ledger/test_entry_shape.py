"""The quick look at an entry passes nothing that the slow one would not."""

import json
from typing import Any

import msgspec
import pytest

from ledger.errors import EntryInvalid
from ledger.log.entry import encode_entry
from ledger.log.entry_shape import is_canonical_time, read_shape
from ledger.log.heads import HEADS
from ledger.store import Ledger
from tests.support.ledger import read_log
from tests.support.living_ledger import live


def alterations(body: bytes) -> list[bytes]:
    """Everything that decodes to something and is not the canonical form, or lies outside of it."""
    document: dict[str, Any] = json.loads(body)

    def changed(**parts: Any) -> bytes:
        return json.dumps({**document, **parts}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    data = document["data"]
    return [
        body + b" ",
        b" " + body,
        body.replace(b":", b": ", 1),
        body.replace(b"deal", b"\\u0064eal", 1),
        body.replace(b'"v":1', b'"v":1.0'),
        body.replace(b'"v":1', b'"v":1,"v":1'),
        json.dumps(document, separators=(",", ":")).encode()[:-1] + b',"a":1}',
        json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        changed(extra="x"),
        changed(seq=2**53),
        changed(seq=1.5),
        changed(data={**data, "Upper": "x"}),
        changed(data={**data, "set": {"a b": "x"}}),
        changed(data={**data, "set": {"": None}}),
        changed(data={**data, "set": {"k" * 65: "x"}}),
        changed(data={**data, "set": {"a": 1.5}}),
        changed(data={**data, "set": {"a": 2**60}}),
        changed(data={**data, "set": {"a": "x" * 70_000}}),
        changed(actor={**document["actor"], "more": "x"}),
        body.replace(b'"rev":', b'"rev":-0.', 1),
        b"\xff" + body[1:],
        b"",
        b"{}",
        b"[1]",
    ]


def test_every_ordinary_entry_passes_and_no_alteration_of_one_does(ledger: Ledger) -> None:
    """Real entries of every kind, each altered in many ways; what passes, the strict encoder gives back unchanged."""
    live(ledger)
    entries = read_log(ledger)
    assert len({entry["type"] for entry in entries}) > 12
    for entry in entries:
        body = encode_entry(entry)
        assert (read_shape(body) is None) == (entry["type"] == HEADS), entry["type"]
        for altered in alterations(body):
            if altered != body and read_shape(altered) is not None:
                assert encode_entry(msgspec.json.decode(altered)) == altered, altered


@pytest.mark.parametrize("body", [b'{"a":"\\ud800"}', b"\xed\xa0\x80", None, 7, "text"])
def test_what_is_no_entry_at_all_is_looked_at_closely(body: Any) -> None:
    """Whoever edits the database can put anything in the place of a body."""
    assert read_shape(body) is None


@pytest.mark.parametrize(
    ("text", "is_time"),
    [
        ("2026-08-23T10:11:12.123456Z", True),
        ("2024-02-29T00:00:00.000000Z", True),
        ("2026-02-29T00:00:00.000000Z", False),
        ("2026-08-23T24:11:12.123456Z", False),
        ("2026-W34-7T10:11:12.123456Z", False),
        ("2026-08-23 10:11:12.123456Z", False),
        ("2026-08-23T10:11:12,123456Z", False),
        ("2026-08-23T10:11:12.123456+", False),
        ("2026-08-23T10:11:12.12345Z", False),
        ("٢٠٢٦-08-23T10:11:12.123456Z", False),
    ],
)
def test_one_instant_has_one_text(text: str, is_time: bool) -> None:
    assert is_canonical_time(text) is is_time


def test_the_alterations_are_outside_the_form(ledger: Ledger) -> None:
    """The test above would see nothing if they were not."""
    body = encode_entry(read_log(ledger)[0])
    refused = 0
    for altered in alterations(body):
        try:
            refused += encode_entry(msgspec.json.decode(altered)) != altered
        except (EntryInvalid, msgspec.DecodeError, AttributeError, UnicodeDecodeError):
            refused += 1
    assert refused >= 20
