"""Identifiers: UUID version 7 (RFC 9562), so that keys sort by the time they were made."""

import os
import time

_AT_ONCE = 512
_random: list[int] = []  # numbers of 80 random bits, none of them used yet: the kernel is asked for many at once
os.register_at_fork(after_in_child=_random.clear)  # a child that went on with its parent's would make the same keys


def new_id() -> str:
    """Return a new UUIDv7 in lower case: 48 bits of milliseconds, 74 random bits."""
    try:
        random = _random.pop()
    except IndexError:
        block = os.urandom(10 * _AT_ONCE)
        numbers = [int.from_bytes(block[place : place + 10], "big") for place in range(0, len(block), 10)]
        random = numbers.pop()
        _random.extend(numbers)
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62
    text = f"{value | (random & 0x3FFF_FFFF_FFFF_FFFF):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
