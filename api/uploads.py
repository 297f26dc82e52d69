"""Files that a client sends: written to disk as they arrive, never held in memory, named as the client names them."""

import contextlib
import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import Problem, refuse_field

MOST_FILES = 20
LONGEST_VALUE = 64 * 1024
LONGEST_NAME = 120
_FORM = "multipart/form-data"


@dataclass(frozen=True)
class SentFile:
    """A file on disk: the field it came in, its own name, where it lies, its SHA-256 in hex and its size in bytes."""

    part: str
    name: str
    path: Path
    sha256: str
    size: int


@dataclass
class Upload:
    """What came in one request. Everything lies under `folder`, which whoever is done with it discards."""

    folder: Path
    files: list[SentFile] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def files_of(self, part: str) -> list[Path]:
        """Return where the files of one field lie, in the order in which they came."""
        return [file.path for file in self.files if file.part == part]

    @property
    def digest(self) -> bytes:
        """What makes two uploads the same: fields, names and contents, however they were put into one body."""
        files = [[file.part, file.name, file.sha256] for file in self.files]
        return json.dumps([sorted(self.values.items()), files]).encode()

    def discard(self) -> None:
        """Delete it all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def without_places(text: str, folder: Path) -> str:
    """Return a message with files called by their names: where the server keeps them is nobody's business."""
    return re.sub(re.escape(str(folder)) + r"/\w+/", "", text)


def plain_name(name: str, index: int) -> str:
    """Return a client's file name without folders and signs that could mislead: it becomes a name on our disk."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[/\\]", name)[-1]).strip(". ")
    stem, dot, ending = name.partition(".")
    return (stem[:LONGEST_NAME] or f"file-{index}") + dot + ending[-20:]


async def receive(request: Request, folder: Path, parts: Collection[str], values: Collection[str]) -> Upload:
    """Write a `multipart/form-data` body to `folder`: files in the fields `parts`, texts in the fields `values`.

    Raises the problem `request-malformed` for another body and `request-invalid` for another field; then, as when the
    client goes away in the middle, nothing is left on disk.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != _FORM.encode() or not options.get(b"boundary"):
        raise Problem("request-malformed", f"Send the files as {_FORM}, for example with `curl -F files=@deals.csv`.")
    writing = _Writing(Upload(folder), frozenset(parts), frozenset(values))
    try:
        parser = MultipartParser(options[b"boundary"], writing.callbacks)  # type: ignore[arg-type]
        async for chunk in request.stream():
            await run_in_threadpool(parser.write, chunk)
        if not writing.is_whole:
            raise FormParserError("it ends in the middle of a part")  # noqa: TRY301 - as the parser says other faults
    except FormParserError as error:
        writing.abandon()
        raise Problem("request-malformed", f"The body is not {_FORM}: {error}.") from error
    except BaseException:
        writing.abandon()
        raise
    return writing.upload


class _Writing:
    """Takes the parser's calls; each part ends up as a file or as a value."""

    def __init__(self, upload: Upload, parts: frozenset[str], values: frozenset[str]) -> None:
        self.upload = upload
        self.is_whole = False
        self._parts, self._values = parts, values
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._disposition = b""
        self._part = self._name = ""
        self._text: bytearray | None = None
        self._file: IO[bytes] | None = None
        self._hash: Any = None
        self._size = 0
        self.callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add_to_header(data[start:end], b""),
            "on_header_value": lambda data, start, end: self._add_to_header(b"", data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._write(data[start:end]),
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def abandon(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # on a full disk what is still buffered fails once more
                self._file.close()
        self.upload.discard()

    def _begin(self) -> None:
        self._header, self._disposition = (b"", b""), b""

    def _add_to_header(self, name: bytes, value: bytes) -> None:
        self._header = (self._header[0] + name, self._header[1] + value)

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = (b"", b"")

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        is_file = b"filename" in options
        if self._part not in (self._parts if is_file else self._values):
            known = ", ".join(sorted(self._parts if is_file else self._values))
            refuse_field(self._part, f"There is no such {'file' if is_file else 'text'} field; there are {known}.")
        if not is_file:
            if self._part in self.upload.values:
                refuse_field(self._part, "Give it once.")
            self._text = bytearray()
            return
        index = len(self.upload.files)
        if len(self.upload.files_of(self._part)) == MOST_FILES:
            refuse_field(self._part, f"Send at most {MOST_FILES} files at once.")
        self._name = plain_name(options[b"filename"].decode("utf-8", "replace"), index)
        place = self.upload.folder / str(index)
        place.mkdir(parents=True, mode=0o700)
        self._file = (place / self._name).open("wb")
        self._hash, self._size = sha256(), 0

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            self._hash.update(data)
            self._size += len(data)
        elif self._text is not None:
            self._text += data
            if len(self._text) > LONGEST_VALUE:
                refuse_field(self._part, f"Send at most {LONGEST_VALUE // 1024} KiB in this field.")

    def _close(self) -> None:
        if self._file is not None:
            path = Path(self._file.name)
            self._file.close()
            self._file = None
            self.upload.files.append(SentFile(self._part, self._name, path, self._hash.hexdigest(), self._size))
        elif self._text is not None:
            try:
                self.upload.values[self._part] = self._text.decode()
            except UnicodeDecodeError:
                refuse_field(self._part, "It is not UTF-8.")
            self._text = None

    def _end(self) -> None:
        self.is_whole = True
