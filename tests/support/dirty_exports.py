"""Exports with the dirt that real ones have, and worse: the same seed gives the same bytes.

Each knows which of its deals are clean: dirt in one row is no reason to lose another.
"""

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.crm_export import DEALS, HISTORY

Cells = list[str]
FIRST_YEAR = 2025


@dataclass
class DirtyExport:
    """Files for the tiny mapping. `clean`: ids of deals that must go in, unless the import is refused as a whole."""

    files: list[Path]
    dirt: list[str]
    clean: set[str] = field(default_factory=set)
    may_be_refused: bool = False


def _cell(index: int, value: str) -> Callable[[Cells], str]:
    def spoil(row: Cells) -> str:
        row[index] = value
        return _line(row)

    return spoil


def _line(row: Cells) -> str:
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in row)


# Id, Owner, Client, Stage, Value, Odds, Created, Closed
ROW_DIRT: dict[str, Callable[[Cells], str]] = {
    "zero byte": _cell(2, "Ac\0me"),
    "cells too many": lambda row: _line([*row, "x", "y"]),
    "cells too few": lambda row: _line(row[:3]),
    "open quote": lambda row: _line(row).replace(row[1], '"' + row[1]),
    "quote within": lambda row: _line(row).replace(row[1], '"A" b'),
    "1e308": _cell(4, "1e308"),
    "not a number": _cell(4, "NaN"),
    "negative": _cell(4, "-5"),
    "formula as amount": _cell(4, "=1+1"),
    "amount without end": _cell(4, "9" * 400),
    "future": _cell(6, "2999-01-01"),
    "past beyond": _cell(6, "0001-01-01"),
    "no such day": _cell(6, "2025-02-30"),
    "unknown word": _cell(3, "Limbo"),
    "no id": _cell(0, ""),
    "no agent": _cell(1, ""),
    "long text": _cell(2, "x" * 10_000),
    "cell without end": _cell(2, "x" * 200_000),
    "not UTF-8": _cell(2, "Caf\udce9"),
    "400 %": _cell(5, "400"),
    "two currencies": _cell(4, "S$ US$ 5"),
    "line break": _cell(3, '"Off\ner"'),
    "separators of other kinds": _cell(3, "Offer\u2028\x1c\x85"),
}
HARMLESS_DIRT: dict[str, Callable[[Cells], str]] = {
    "formula as text": _cell(2, "=HYPERLINK(1)"),
    "spaces": lambda row: _line([f"  {cell} " for cell in row]),
    "quotes everywhere": lambda row: ",".join(f'"{cell}"' for cell in row),
    "doubled quotes": _cell(2, '"The ""Acme"" firm"'),
    "emoji": _cell(2, "Acme 🏠 Ñandú"),
    "no-break spaces": _cell(4, "S$\u00a01,234"),
}
FILE_DIRT = (
    "plain", "BOM", "UTF-16", "UTF-16 big-endian", "UTF-16 without a mark", "CR-only", "CRLF", "blank lines",
    "ten times the columns", "duplicate ids", "gzip", "truncated gzip", "damaged gzip", "empty file",
    "header only", "no last line end",
    "other separator", "header twice", "bytes at random",
)  # fmt: skip


def make_dirty_export(directory: Path, seed: int) -> DirtyExport:
    """Write the export of a seed: one kind of dirt for the file, taken in turn, and several for rows."""
    rng = random.Random(seed)
    kind = FILE_DIRT[seed % len(FILE_DIRT)]
    export = DirtyExport([], [kind])
    lines, moves = [DEALS], [HISTORY]
    for number in range(rng.randint(5, 40)):
        key = f"{seed}-{number}"
        row = [key, rng.choice(["Ada Low", "TARR, Ayla"]), "Acme", "Offer", "1,000", "40",
               f"{FIRST_YEAR}-01-{rng.randint(1, 28):02}", ""]  # fmt: skip
        if rng.random() < 0.3:
            name = rng.choice(sorted(ROW_DIRT))
            lines.append(ROW_DIRT[name](row))
            export.dirt.append(name)
        else:
            name = rng.choice([*sorted(HARMLESS_DIRT), *[""] * 6])
            lines.append(HARMLESS_DIRT[name](row) if name else _line(row))
            export.clean.add(key)
            moves += [f"{key},Offer,{FIRST_YEAR}-02-{rng.randint(1, 28):02} 09:00"] * rng.randint(0, 2)
    moves += [f"{seed}-none,Offer,2025-02-01 10:00", f"{seed}-0,Offer,when?", f"{seed}-0,,2025-02-01 10:00"]
    rng.shuffle(moves[1:])
    for name, content in (("deals", _file(rng, kind, lines, export)), ("moves", "\n".join(moves).encode())):
        path = directory / (f"{name}-{seed}.csv" + (".gz" if name == "deals" and "gzip" in kind else ""))
        path.write_bytes(content)
        export.files.append(path)
    return export


def _file(rng: random.Random, kind: str, lines: list[str], export: DirtyExport) -> bytes:
    """Write the deals with the dirt of a kind; what costs every row its meaning empties `clean`."""
    end = {"CR-only": "\r", "CRLF": "\r\n"}.get(kind, "\n")
    if kind == "blank lines":
        lines = [
            part for line in lines for part in (line, *[rng.choice(["", ",,,,,,,", "   ", ",,"])] * rng.randint(0, 2))
        ]
    elif kind == "ten times the columns":
        more = 9 * len(DEALS.split(","))
        extra = "," + ",".join(f"Extra {number}" for number in range(more))
        short = [line.count("\n") or line.count('"') % 2 for line in lines]
        lines = [lines[0] + extra] + [
            line + ("" if odd else "," + ",".join("z" * (more))) for line, odd in zip(lines[1:], short[1:], strict=True)
        ]
    elif kind == "duplicate ids":
        lines = lines + rng.sample(lines[1:], len(lines) // 3)
    elif kind == "header twice":
        lines = [*lines, lines[0]]
    elif kind == "header only":
        lines, export.clean = lines[:1], set()
    elif kind == "other separator":
        lines = [line.replace(",", ";") for line in lines]
    text = end.join(lines) + ("" if kind == "no last line end" else end)
    wide = {"UTF-16": "utf-16", "UTF-16 big-endian": "utf-16-be", "UTF-16 without a mark": "utf-16-le"}.get(kind)
    if wide:
        content = ("\ufeff" if kind == "UTF-16 big-endian" else "") + text.replace("\udce9", "?")
        data = content.encode(wide)
    else:
        data = ("\ufeff" * (kind == "BOM") + text).encode("utf-8", "surrogateescape")
    if kind == "bytes at random":
        start = data.index(b"\n") + 1
        data = data[:start] + bytes(rng.randrange(256) for _ in range(2_000)) + data[start:]
    if "gzip" in kind:
        data = gzip.compress(data, mtime=0)
    if kind == "truncated gzip":
        data = data[: rng.randint(1, len(data) - 9)]
    if kind == "damaged gzip":
        middle = rng.randint(12, len(data) - 12)
        data = data[:middle] + bytes(255 - byte for byte in data[middle : middle + 8]) + data[middle + 8 :]
    if kind == "empty file":
        data = b""
    if kind in ("truncated gzip", "damaged gzip", "empty file", "other separator", "UTF-16 without a mark"):
        export.may_be_refused = True
    if export.may_be_refused or kind == "bytes at random":
        export.clean = set()
    return data
