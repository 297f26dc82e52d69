"""What ran: the lines that each refresh leaves in `logs/refresh.jsonl`, read from the end, never as a whole."""

from pathlib import Path
from typing import Any

import msgspec

from ledger.errors import CursorInvalid

BLOCK = 64 * 1024


def read_jobs(path: Path, cursor: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return at most `limit` runs before the cursor, newest first, and the next cursor; no file means no runs.

    A cursor is how many bytes of the file have not been shown. A line that cannot be read is left out, and so is one
    that is being written.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return [], None
    with file:
        size = file.seek(0, 2)
        end = size if cursor is None else _decode_cursor(cursor)
        if end > size:
            raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor")
        jobs: list[dict[str, Any]] = []
        held = b""  # the beginning of a line whose rest has been read
        position = end
        while position and len(jobs) < limit:
            start = max(0, position - BLOCK)
            file.seek(start)
            held = file.read(position - start) + held
            position = start
            while len(jobs) < limit and (line := _take_last_line(held, is_all=start == 0)) is not None:
                held = held[: len(held) - len(line)]
                job = _read_line(line)
                if job is not None:
                    jobs.append(job)
        left = position + len(held)
    return jobs, str(left) if left and len(jobs) == limit else None


def _decode_cursor(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 15:
        raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor")
    return int(cursor)


def _take_last_line(held: bytes, *, is_all: bool) -> bytes | None:
    """Return the last line with its end, or None when its beginning may lie before `held`."""
    before = held.rfind(b"\n", 0, max(0, len(held) - 1))
    if before == -1:
        return held if held and is_all else None
    return held[before + 1 :]


def _read_line(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        job = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return job if isinstance(job, dict) and job.get("event") == "refresh.run_ended" else None
