"""The files that a page has been given to import: where they lie, what they are, and which mapping reads them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from api.import_orders import WantedImport, check_import
from api.problems import Problem
from api.uploads import MOST_FILES, plain_name, without_places
from api.workspace import wording
from ingestion.crm_files import FilePreview, load_mapping, preview_files, propose, sections_of, shipped_mappings
from ingestion.reference_files import tell_reference_file
from ledger.errors import DealbookError, Invalid
from ledger.identifiers import new_id
from ledger.imports import ImportKind

OWN = "own"
MOST_MAPPING_BYTES = 256 * 1024


@dataclass
class Findings:
    """What was seen of the files. `trouble` says why they cannot be imported as they stand."""

    kind: ImportKind = "crm"
    fitting: list[str] = field(default_factory=list)  # shipped mappings that read all files
    previews: list[FilePreview] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)  # reference files: name -> kind of figures
    missing: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    trouble: str = ""


class FilesAtHand:
    """The files of one page, in a folder of their own under the uploads; `discard` when the page is gone."""

    def __init__(self, uploads: Path) -> None:
        self._uploads = uploads
        self.folder = uploads / new_id()
        self.files: list[Path] = []
        self.mapping = ""  # name of a shipped one, or OWN
        self.own_text = ""
        self._missing: list[str] = []
        self._doubts: list[str] = []
        self._count = 0

    def place_for(self, name: str) -> Path:
        """Return where a file with this name goes; a second one of the same name replaces the first."""
        if len(self.files) >= MOST_FILES:
            raise Invalid(f"At most {MOST_FILES} files go in together.")
        self._count += 1
        place = self.folder / str(self._count) / plain_name(name, self._count)
        place.parent.mkdir(parents=True, mode=0o700)
        return place

    def take(self, path: Path) -> None:
        """Add a file that has arrived; a TOML file is taken as the mapping."""
        if path.suffix.lower() == ".toml":
            if path.stat().st_size > MOST_MAPPING_BYTES:
                raise Invalid(f"{path.name} is too large for a mapping.")
            self.own_text = path.read_text("utf-8", "replace")
            self.mapping = OWN
            self._missing, self._doubts = [], []
            return
        self.files = [each for each in self.files if each.name != path.name] + [path]

    def remove(self, name: str) -> None:
        """Put a file away."""
        for path in [each for each in self.files if each.name == name]:
            self.files.remove(path)
            path.unlink(missing_ok=True)

    def propose(self) -> None:
        """Let a mapping be proposed, and take it as one's own."""
        proposal = propose(self.files, "our_crm")
        self.mapping, self.own_text = OWN, proposal.text
        self._missing, self._doubts = proposal.missing, proposal.doubts

    def edit(self, text: str) -> None:
        """Take a mapping as it was edited."""
        self.mapping, self.own_text = OWN, text
        self._missing = []

    def look(self) -> Findings:
        """Say what the files are. The first mapping that fits is chosen where none is."""
        found = Findings(missing=self._missing, doubts=self._doubts)
        if not self.files:
            return found
        try:
            found.figures = {path.name: wording.say(tell_reference_file(path)) for path in self.files}
        except DealbookError:
            found.figures = {}
        if found.figures:
            found.kind = "reference"
            return found
        found.fitting = [name for name in shipped_mappings() if _fits(self.files, name)]
        if self.mapping != OWN and self.mapping not in found.fitting:
            self.mapping = found.fitting[0] if found.fitting else ""
        if not self.mapping:
            found.trouble = (
                "None of the mappings that come with dealbook fits these files. Have one proposed, or add your own."
            )
            return found
        try:
            wanted = self._wanted(self.folder, found.kind, self.files)
            check_import(wanted)
            found.previews = preview_files(self.files, wanted.mapping_file or wanted.mapping)
        except (Problem, DealbookError) as error:
            found.trouble = without_places(error.detail, self.folder)
            if isinstance(error, Problem) and error.errors:
                found.trouble = error.errors[0].message
        return found

    def order(self, kind: ImportKind, *, is_dry_run: bool, is_strict: bool) -> WantedImport:
        """Return an import of these files from a folder that is its own: the page keeps its files for the next step."""
        folder = self._uploads / new_id()
        files = []
        for index, path in enumerate(self.files):
            place = folder / str(index) / path.name
            place.parent.mkdir(parents=True, mode=0o700)
            os.link(path, place)
            files.append(place)
        wanted = self._wanted(folder, kind, files, is_dry_run=is_dry_run, is_strict=is_strict)
        check_import(wanted)
        return wanted

    def _wanted(
        self,
        folder: Path,
        kind: ImportKind,
        files: Sequence[Path],
        *,
        is_dry_run: bool = False,
        is_strict: bool = False,
    ) -> WantedImport:
        own = None
        if kind == "crm" and self.mapping == OWN:
            own = folder / "mapping" / "own_mapping.toml"
            own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            own.write_text(self.own_text, "utf-8")
        name = "" if own or kind == "reference" else self.mapping
        is_strict = is_strict and kind == "crm"
        return WantedImport(kind, folder, tuple(files), name, own, is_dry_run, is_strict)

    def discard(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _fits(files: Sequence[Path], name: str) -> bool:
    try:
        sections_of(files, load_mapping(name))
    except DealbookError:
        return False
    return True
