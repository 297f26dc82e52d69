"""The TOML file that says how one CRM writes: its columns, words, dates and numbers. Read, checked, explained.

A mistake in a mapping is answered with the file, the place in it, and what to write instead: a mapping is written by
people who do not read our code. The guide is docs/import-your-crm.md.
"""

import codecs
import difflib
import re
import tomllib
from collections.abc import Collection, Iterable
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ingestion.crm_files.errors import MappingInvalid
from ingestion.crm_files.fields import FIELDS, WORDS, Kind, Section
from ledger.settings import get_settings

_NUMBER = re.compile(r"\d{1,14}(\.\d{1,4})?")
REPORTING = "reporting"  # as a constant for a currency: the installation's reporting currency
STAGE_MARK = "{stage}"
MAPPINGS_DIR = Path(__file__).resolve().parent.parent / "mappings"


def normalise_word(text: str) -> str:
    """Return a word as it is compared: no case, one space between parts, `-` and `_` as spaces."""
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()


def _stage_pattern(text: str) -> re.Pattern[str]:
    """A column's name, in which {stage} stands for the source's word for a stage and * for anything."""
    parts = re.split(r"(\{stage\}|\*)", text)
    marks = {STAGE_MARK: "(?P<stage>.+?)", "*": ".+"}
    return re.compile("".join(marks.get(part) or re.escape(part) for part in parts))


def _closest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}Known: {', '.join(known)}"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Files(_Part):
    """How the files are written."""

    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, value: str) -> str:
        if value in '"\r\n\0 ' or value.isalnum():
            raise ValueError(f"'{value}' cannot separate columns; write for example , or ; or \\t")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)  # no text encoding: "base64" and its like
            return codecs.lookup(value).name
        except (LookupError, ValueError):
            raise ValueError(f"'{value}' is not an encoding; write for example utf-8, cp1252 or utf-16") from None


class Numbers(_Part):
    """How numbers are written."""

    decimal: Literal[".", ","] = "."
    thousands: str = Field(default="", max_length=1)
    currencies: dict[str, str] = Field(default_factory=dict)
    confidence: Literal["share", "percent"] = "share"
    rate: Literal["share", "percent"] = "share"

    @field_validator("currencies")
    @classmethod
    def _codes(cls, value: dict[str, str]) -> dict[str, str]:
        for symbol, code in value.items():
            if not symbol.strip() or re.search(r"[\d.,()-]", symbol):
                raise ValueError(f"'{symbol}' cannot stand for a currency; write a symbol or a code such as S$")
            if not re.fullmatch("[A-Z]{3}", code):
                raise ValueError(f"'{code}' is not an ISO 4217 code such as SGD")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> "Numbers":
        if self.thousands == self.decimal or self.thousands.isdigit():
            raise ValueError("thousands and decimal must be different signs, and no digits")
        return self


class Dates(_Part):
    """How dates are written; formats are tried in order."""

    formats: list[str] = Field(default=["%Y-%m-%d"], min_length=1)
    missing: date | None = None

    @field_validator("formats")
    @classmethod
    def _usable(cls, value: list[str]) -> list[str]:
        for form in value:
            if not re.search(r"%[YyDF]", form) or not re.search(r"%[mbBdjDF]", form):
                raise ValueError(f"'{form}' is not a date format; write for example %Y-%m-%d or %d/%m/%Y %H:%M")
        return value

    @cached_property
    def ambiguous_pairs(self) -> list[tuple[str, str]]:
        """Pairs of formats that read the same text as different days, such as %d/%m/%Y and %m/%d/%Y."""
        probe = datetime(2003, 2, 1, 4, 5, 6)  # noqa: DTZ001 (a probe for formats, not a moment)
        pairs = []
        for index, first in enumerate(self.formats):
            if "%z" in first:
                continue
            text = pl.Series([probe.strftime(first)])
            for second in self.formats[index + 1 :]:
                if "%z" in second:
                    continue
                read = text.str.to_datetime(second, strict=False)[0]
                if read is not None and read.date() != probe.date() and read.year > 1900:
                    pairs.append((first, second))
        return pairs


class Agents(_Part):
    """How agents are found: by e-mail, by name in any case, spacing or order ('Last, First'), by alias."""

    unknown: Literal["create", "reject"] = "create"
    aliases: dict[str, str] = Field(default_factory=dict)


Columns = dict[str, tuple[str, ...]]


class SectionMapping(_Part):
    """Where one kind of file has our fields. Of several columns for a field, the first with something in it counts."""

    columns: Columns
    constants: dict[str, str] = Field(default_factory=dict)
    optional: list[str] = Field(default_factory=list)
    without: list[str] = Field(default_factory=list)  # a file with one of these columns is of another kind
    only: dict[str, list[str]] = Field(default_factory=dict)  # column -> words: rows with another word are passed over
    metadata: Columns = Field(default_factory=dict)
    opening_stage: str | None = None
    close_dates: Literal["actual", "planned"] = "actual"
    stage_dates: dict[str, str] = Field(default_factory=dict)  # column, or pattern with {stage} -> stage, or {stage}

    @field_validator("columns", "metadata", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: (columns,) if isinstance(columns, str) else columns for name, columns in value.items()}

    def lacks(self, header: Collection[str]) -> list[tuple[str, ...]]:
        """Return the columns of fields that this header has none of, though it must."""
        return [
            columns
            for name, columns in self.columns.items()
            if name not in self.optional and not {*columns} & {*header}
        ]

    def named(self, header: Collection[str]) -> dict[str, str]:
        """Return field -> the column that a file with this header is told by in messages."""
        return {
            name: next((column for column in columns if column in header), columns[0])
            for name, columns in self.columns.items()
            if columns
        }


class Mapping(_Part):
    """A whole mapping."""

    source: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    description: str = ""
    time_zone: str = ""
    files: Files = Files()
    numbers: Numbers = Numbers()
    dates: Dates = Dates()
    agents: Agents = Agents()
    words: dict[str, dict[str, str]] = Field(default_factory=dict)
    people: SectionMapping | None = None
    deals: SectionMapping | None = None
    stage_events: SectionMapping | None = None
    commissions: SectionMapping | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            value and ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"'{value}' is not a time zone; write for example Asia/Singapore") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the times in the files: the mapping's, else the business time zone."""
        return ZoneInfo(self.time_zone or get_settings().business_timezone)

    @property
    def sections(self) -> dict[Section, SectionMapping]:
        """The sections that this mapping has, in the order of import."""
        return {section: part for section in Section if (part := getattr(self, section)) is not None}

    @cached_property
    def word_tables(self) -> dict[str, dict[str, str]]:
        """Field -> normalised source word -> our word. Our own words are always understood."""
        tables = {name: {normalise_word(word): word for word in known} for name, known in WORDS.items()}
        for name, table in self.words.items():
            tables.setdefault(name, {}).update({normalise_word(theirs): ours for theirs, ours in table.items()})
        return tables

    def section_of(self, header: list[str]) -> Section | None:
        """Return which kind of file has this header: the section with most of its columns in it, or None."""
        best: tuple[int, Section] | None = None
        for section, part in self.sections.items():
            known = {column for columns in (*part.columns.values(), *part.metadata.values()) for column in columns}
            if not part.lacks(header) and not set(part.without) & set(header):
                score = len(known & set(header))
                if best is None or score > best[0]:
                    best = (score, section)
        return best[1] if best else None

    def missing_columns(self, header: list[str]) -> tuple[Section, list[str]]:
        """Return the section that the header is nearest to and the columns it lacks for it."""
        near = [
            (len(lacking) / len(part.columns), len(lacking), section, [" or ".join(columns) for columns in lacking])
            for section, part in self.sections.items()
            for lacking in [part.lacks(header)]
        ]
        *_, section, missing = min(near)
        return section, missing

    def stage_columns(self, header: Iterable[str]) -> list[tuple[str, str, str | None]]:
        """Return the columns that say when a deal entered a stage: column, the source's word, our stage if known."""
        found = []
        words = self.word_tables["stage"]
        for column in header:
            fits = [
                (match["stage"] if target == STAGE_MARK else target)
                for pattern, target in (self.deals.stage_dates if self.deals else {}).items()
                if (match := _stage_pattern(pattern).fullmatch(column))
            ]
            if fits:
                word = next((each for each in fits if normalise_word(each) in words), fits[0])
                found.append((column, word, words.get(normalise_word(word))))
        return found

    @model_validator(mode="after")
    def _consistent(self) -> "Mapping":
        problems = [*_check_words(self)]
        if not self.sections:
            problems.append("there is no section; write at least [deals.columns]")
        for section, part in self.sections.items():
            problems += _check_section(section, part)
        problems += _check_stage_dates(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _check_words(mapping: Mapping) -> Iterable[str]:
    keys = {key for part in mapping.sections.values() for key in part.metadata}
    for name, table in mapping.words.items():
        if name in keys or name == "lead_source":
            continue
        if name not in WORDS:
            yield f"[words.{name}]: no field of that name holds words; {_closest(name, WORDS)}"
            continue
        for theirs, ours in table.items():
            if ours not in WORDS[name]:
                yield f"[words.{name}] '{theirs}': '{ours}' is none of our words; {_closest(ours, WORDS[name])}"


def _check_section(section: Section, part: SectionMapping) -> Iterable[str]:
    fields = FIELDS[section]
    for place, names in (("columns", part.columns), ("constants", part.constants), ("optional", part.optional)):
        for name in names:
            if name not in fields:
                yield f"[{section}] {place}: '{name}' is none of our fields; {_closest(name, fields)}"
    if not part.columns:
        yield f"[{section}.columns] is empty; name at least the columns that hold {_required(section)}"
    for name, field in fields.items():
        if field.required and name not in part.columns and name not in part.constants:
            yield (
                f"[{section}.columns] lacks '{name}' ({field.about}); name its column, "
                f"or set it in [{section}.constants]"
            )
    for name, value in part.constants.items():
        constant = fields.get(name)
        if constant and constant.kind is Kind.MOMENT:
            yield f"[{section}.constants] '{name}': a date cannot be a constant; see dates.missing"
        if constant and constant.words and value not in constant.words:
            yield f"[{section}.constants] {name} = '{value}' is none of our words; {_closest(value, constant.words)}"
        if constant and constant.kind in (Kind.MONEY, Kind.RATE, Kind.CONFIDENCE) and not _NUMBER.fullmatch(value):
            yield f"[{section}.constants] {name} = '{value}' is not a number; write for example \"0.02\""
    if section is not Section.DEALS and (part.metadata or part.opening_stage or part.stage_dates):
        yield f"[{section}]: metadata, opening_stage and stage_dates belong to [deals]"
    for name, columns in (*part.columns.items(), *part.metadata.items()):
        if not columns:
            yield f"[{section}] {name} = []: name at least one column"
    stages = FIELDS[Section.DEALS]["stage"].words[:-3]  # the open ones
    if part.opening_stage and part.opening_stage not in stages:
        yield f"[deals] opening_stage = '{part.opening_stage}' is no open stage; {_closest(part.opening_stage, stages)}"
    for key in part.metadata:
        if not re.fullmatch("[a-z0-9_]{1,64}", key):
            yield f"[{section}.metadata] '{key}': a key is made of a-z, 0-9 and _"


def _check_stage_dates(mapping: Mapping) -> Iterable[str]:
    for column, target in (mapping.deals.stage_dates if mapping.deals else {}).items():
        if (target == STAGE_MARK) != (column.count(STAGE_MARK) == 1):
            yield f"[deals.stage_dates] '{column}' = '{target}': {STAGE_MARK} stands once in both, or in neither"
        elif target != STAGE_MARK and normalise_word(target) not in mapping.word_tables["stage"]:
            known = FIELDS[Section.DEALS]["stage"].words
            yield f"[deals.stage_dates] '{column}': '{target}' is no stage; {_closest(target, known)}"


def _required(section: Section) -> str:
    return ", ".join(name for name, field in FIELDS[section].items() if field.required)


def shipped_mappings() -> list[str]:
    """Names of the mappings that come with dealbook."""
    return sorted(path.stem for path in MAPPINGS_DIR.glob("*.toml"))


def load_mapping(name: str | Path) -> Mapping:
    """Read a mapping: the name of a shipped one, or a TOML file.

    Raises `MappingInvalid`, which names the file, every mistake in it, and what to write instead.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in shipped_mappings():
            raise MappingInvalid(
                f"There is no mapping '{name}': give one of {', '.join(shipped_mappings())}, or a path to a TOML file."
            )
        path = MAPPINGS_DIR / f"{name}.toml"
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MappingInvalid(f"The mapping {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path} is not a TOML file: {error}.") from error
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise MappingInvalid(f"{path}:\n" + "\n".join(_explain(error))) from error


def _explain(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parts = _model_at(problem["loc"][:-1])
            yield f"  {place}: there is no such setting; {_closest(str(problem['loc'][-1]), parts)}"
        elif problem["type"] == "missing":
            yield f"  {place}: is missing"
        else:
            for line in problem["msg"].removeprefix("Value error, ").splitlines():
                yield f"  {place}: {line}" if place else f"  {line}"


def _model_at(place: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {"files": Files, "numbers": Numbers, "dates": Dates, "agents": Agents}
    model = Mapping if not place else parts.get(str(place[0]), SectionMapping)
    return list(model.model_fields)
