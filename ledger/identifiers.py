"""Identifiers: UUID version 7 (RFC 9562), so that keys sort by the time they were made."""

import os
import time


def new_id() -> str:
    """Return a new UUIDv7 in lower case: 48 bits of milliseconds, 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62
    text = f"{value | (random & 0x3FFF_FFFF_FFFF_FFFF):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
