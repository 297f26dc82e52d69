"""What is looked at before an import is accepted: whether the files can be read at all, and with this mapping."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from api.import_runs import ImportOrder
from api.problems import Problem, refuse_field
from api.uploads import without_places
from ledger.actors import Actor
from ledger.errors import DealbookError
from ledger.imports import ImportKind, start_import

MOST_REFERENCE_BYTES = 32 * 2**20


@dataclass(frozen=True)
class WantedImport:
    """An import as it is asked for; its files, and a mapping of its own, lie under `folder`."""

    kind: ImportKind
    folder: Path
    files: tuple[Path, ...]
    mapping: str = ""  # name of a shipped one
    mapping_file: Path | None = None
    is_dry_run: bool = False
    is_strict: bool = False

    @property
    def mapping_name(self) -> str:
        """What the record calls the mapping."""
        return self.mapping_file.name if self.mapping_file else self.mapping


def check_import(wanted: WantedImport) -> None:
    """Raise the problem that keeps an import from starting: its headers are read, its rows are not."""
    if not wanted.files:
        refuse_field("files", "Send at least one file.")
    if wanted.kind == "reference":
        _check_reference_files(wanted)
        return
    from ingestion.crm_files import FileInvalid, MappingInvalid, load_mapping, sections_of, shipped_mappings

    if (wanted.mapping_file is None) == (not wanted.mapping):
        refuse_field("mapping", "Give the name of a mapping that comes with dealbook, or a file in `mapping_file`.")
    # A name alone: a path would let a client have any file of the server read as a mapping.
    if wanted.mapping and wanted.mapping not in shipped_mappings():
        refuse_field("mapping", f"There is no such mapping; there are {', '.join(shipped_mappings())}.")
    if wanted.mapping_file is not None and wanted.mapping_file.suffix != ".toml":
        raise Problem("mapping-invalid", "A mapping is a TOML file: let its name end in .toml.")
    if any(path.name.lower().endswith((".parquet.gz", ".pq.gz")) for path in wanted.files):
        raise Problem("file-invalid", "Parquet is packed already: send it without gzip around it.")
    try:
        sections_of(wanted.files, load_mapping(wanted.mapping_file or wanted.mapping))
    except (MappingInvalid, FileInvalid) as fact:
        raise Problem(fact.code, without_places(fact.detail, wanted.folder)) from fact


def _check_reference_files(wanted: WantedImport) -> None:
    from ingestion.reference_files import tell_reference_file

    if wanted.mapping or wanted.mapping_file:
        refuse_field("mapping", "Reference files need none: they are told by their columns.")
    if wanted.is_strict:
        refuse_field("strict", "Reference files have no such choice: rows that can be read go in.")
    for path in wanted.files:
        if path.suffix.lower() == ".gz" or path.stat().st_size > MOST_REFERENCE_BYTES:
            raise Problem(
                "file-invalid",
                f"{path.name}: send reference files unpacked, of at most {MOST_REFERENCE_BYTES >> 20} MiB.",
            )
        try:
            tell_reference_file(path)
        except DealbookError as fact:
            raise Problem("file-invalid", without_places(fact.detail, wanted.folder)) from fact


def note_import(session: Session, actor: Actor, wanted: WantedImport, file_sha256: str) -> ImportOrder:
    """Make the record of an import within the caller's transaction; return what is run once that is committed."""
    import_id = start_import(
        session,
        actor,
        file_name=", ".join(path.name for path in wanted.files)[:500],
        file_sha256=file_sha256,
        mapping=wanted.mapping_name[:200],
        kind=wanted.kind,
        is_dry_run=wanted.is_dry_run,
        is_strict=wanted.is_strict,
    )
    return ImportOrder(
        import_id,
        actor,
        wanted.kind,
        wanted.folder,
        wanted.files,
        wanted.mapping_file or wanted.mapping,
        wanted.mapping_name,
        wanted.is_dry_run,
        wanted.is_strict,
    )


def digest_files(files: Sequence[Path]) -> str:
    """Return the digest by which the record knows these files."""
    from ingestion.crm_files import digest_of_files

    return digest_of_files(files)
