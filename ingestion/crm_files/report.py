"""What an import did, per file, for people and for scripts."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass
class FileReport:
    """One file. `accepted + rejected == rows`, always; blank lines are no rows."""

    name: str
    section: str
    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    blank_lines: int = 0
    passed_over: int = 0  # rows of other matters, which the mapping's `only` leaves out; not among `rows`
    rows_dated_by_mapping: int = 0
    ambiguous_dates: int = 0
    rejects_file: str | None = None

    @property
    def accepted(self) -> int:
        """Rows that went in, or were in already."""
        return self.created + self.changed + self.unchanged


@dataclass
class ImportReport:
    """A whole import. `outcome` is `imported`, `dry run`, or `refused` (strict, and rows were rejected)."""

    import_id: str
    mapping: str
    outcome: Literal["imported", "dry run", "refused"] = "imported"
    files: list[FileReport] = field(default_factory=list)
    agents_created: list[str] = field(default_factory=list)
    entries: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def accepted(self) -> int:
        """Accepted rows of all files."""
        return sum(file.accepted for file in self.files)

    @property
    def rejected(self) -> int:
        """Rejected rows of all files."""
        return sum(file.rejected for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return asdict(self) | {
            "rows": self.rows,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "files": [asdict(file) | {"accepted": file.accepted} for file in self.files],
        }

    def to_record(self) -> dict[str, Any]:
        """Return what the record of imports keeps: files by their names alone, without where they lay."""
        files = [
            {key: value for key, value in asdict(file).items() if key != "rejects_file"}
            | {"name": Path(file.name).name, "accepted": file.accepted}
            for file in self.files
        ]
        return {
            "files": files,
            "agents_created": self.agents_created,
            "entries": self.entries,
            "reasons": self.reasons,
            "seconds": self.seconds,
        }

    def render(self) -> str:
        """Return the report as text for a terminal."""
        width = max([len(Path(file.name).name) for file in self.files], default=4)
        head = f"{'file':<{width}}  {'rows':>9} = {'created':>9} + {'changed':>8} + {'unchanged':>9} + {'rejected':>8}"
        lines = [head]
        lines += [
            f"{Path(file.name).name:<{width}}  {file.rows:>9,} = {file.created:>9,} + {file.changed:>8,} + "
            f"{file.unchanged:>9,} + {file.rejected:>8,}"
            for file in self.files
        ]
        for file in self.files:
            name = Path(file.name).name
            if file.rows_dated_by_mapping:
                lines.append(f"{name}: {file.rows_dated_by_mapping:,} rows have no date and took the mapping's.")
            if file.ambiguous_dates:
                lines.append(
                    f"{name}: {file.ambiguous_dates:,} dates fit several formats of the mapping; the first one counted."
                )
            if file.passed_over:
                lines.append(f"{name}: {file.passed_over:,} rows of other matters, which the mapping passes over.")
            if file.blank_lines:
                lines.append(f"{name}: {file.blank_lines:,} blank lines, which are no rows.")
        rejects = [Path(file.rejects_file) for file in self.files if file.rejects_file]
        if rejects:
            where = rejects[0] if len(rejects) == 1 else rejects[0].with_name(f"{self.import_id}-*.csv")
            lines.append(f"Rejected rows, with lines and reasons: {where}")
        if self.agents_created:
            shown = ", ".join(self.agents_created[:5]) + (", …" if len(self.agents_created) > 5 else "")
            lines.append(f"{len(self.agents_created):,} people were unknown and have been added: {shown}")
        if self.reasons:
            lines.append("Most frequent reasons:")
            lines += [f"  {count:>7,}  {reason}" for reason, count in self.reasons.items()]
        lines.append(self._verdict())
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.outcome == "dry run":
            return f"Dry run: nothing was written. An import would write {self.entries:,} log entries."
        if self.outcome == "refused":
            return f"Nothing was imported: {self.rejected:,} rows were rejected, and --strict is all or nothing."
        if not self.entries:
            return f"Everything was there already: no log entry written ({self.seconds:.1f} s)."
        return f"{self.entries:,} log entries written in {self.seconds:.1f} s."
