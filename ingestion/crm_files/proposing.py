"""A mapping proposed for files that nobody has described yet, and checked: it loads, or it says what to fill in.

files --sampling--> samples --recognising, guessing--> what is what --here--> TOML with comments, open points
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.crm_files.errors import FileInvalid
from ingestion.crm_files.fields import FIELDS, WORDS, Kind, Section
from ingestion.crm_files.guessing import SIGNS, guess_dates, guess_numbers, guess_word, is_date, share_of
from ingestion.crm_files.mapping import REPORTING, load_mapping, normalise_word, shipped_mappings
from ingestion.crm_files.recognising import recognise_section
from ingestion.crm_files.sampling import Sample, read_sample

Ask = Callable[[str, Sequence[str]], str | None]
"""Asks a question with the answers there are (none: anything); None where nobody answers."""
_ENTERED = re.compile(r'Date entered "(?P<stage>.+?)(?P<pipeline> \(.+\))?"')
_MOST_WORDS = 60


@dataclass
class Proposal:
    """A mapping as text. `missing`: what keeps it from loading. `doubts`: what was assumed and should be looked at."""

    text: str
    missing: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    looks_like: list[str] = field(default_factory=list)  # shipped mappings that fit these files

    def render(self, name: str) -> str:
        """Return what its reader should know, as text for a terminal; `name` is the mapping's file."""
        lines = [f"These files fit a mapping that comes with dealbook, too: {each}" for each in self.looks_like]
        if self.doubts:
            lines += ["Assumed; look at it:", *[f"  {doubt}" for doubt in self.doubts]]
        if self.missing:
            lines += ["Fill in before it can be used:", *[f"  {each}" for each in self.missing]]
        verb = f"dealbook mapping check {name}" if self.missing else f"dealbook import … --mapping {name} --dry-run"
        return "\n".join([*lines, f"Next: {verb}"])


def propose(paths: Sequence[Path], source: str, ask: Ask = lambda _question, _answers: None) -> Proposal:
    """Look at some hundred rows of each file and propose a mapping. Raises `FileInvalid` for what cannot be read."""
    if not paths:
        raise FileInvalid("There is no file to look at: name at least one CSV or Parquet file.")
    return _Proposing([read_sample(Path(path)) for path in paths], source, ask).proposal()


class _Proposing:
    def __init__(self, samples: list[Sample], source: str, ask: Ask) -> None:
        self.samples, self.ask = samples, ask
        self.source = re.sub(r"[^a-z0-9]+", "_", source.casefold()).strip("_")[:40] or "my_crm"
        self.result = Proposal("")
        self.sections: dict[Section, tuple[Sample, dict[str, str]]] = {}
        for sample in samples:
            section, found = recognise_section(sample)
            if section in self.sections:
                other = self.sections[section][0].path.name
                self.result.doubts.append(f"{sample.path.name} looks like {section}, as {other} does: it is not used.")
            else:
                self.sections[section] = (sample, found)
        self.sections = {section: self.sections[section] for section in Section if section in self.sections}
        # What sections have in common must be found before they are written.
        for section, (sample, found) in self.sections.items():
            self._ask_for_columns(section, sample, found)
        self.entered = self._entered_columns()

    def proposal(self) -> Proposal:
        """Write it all down."""
        body = [
            *self._head(),
            *self._files(),
            *self._numbers(),
            *self._dates(),
            "[agents]",
            'unknown = "reject"   # everybody is in the people file; or "create"'
            if Section.PEOPLE in self.sections
            else 'unknown = "create"   # or "reject": nobody new through deals and commissions',
            "",
            *self._words(),
            *[line for section in self.sections for line in self._section(section)],
        ]
        self.result.text = "\n".join(body) + "\n"
        self.result.looks_like = [
            name
            for name in shipped_mappings()
            if all(load_mapping(name).section_of(sample.header) for sample in self.samples)
        ]
        return self.result

    # ---- columns

    def _ask_for_columns(self, section: Section, sample: Sample, found: dict[str, str]) -> None:
        for name, about in FIELDS[section].items():
            if about.required and name not in found and not about.words:
                free = [column for column in sample.header if column not in found.values()]
                answer = self.ask(f"{sample.path.name}: which column holds {name} ({about.about})?", free)
                if answer in free:
                    found[name] = answer

    def _entered_columns(self) -> dict[str, str]:
        """Columns of deals that no field has and that say when a stage was entered."""
        if Section.DEALS not in self.sections:
            return {}
        sample, found = self.sections[Section.DEALS]
        columns: dict[str, str] = {}
        for column, cells in sample.columns.items():
            if column in found.values():
                continue
            if match := _ENTERED.fullmatch(column):
                columns['Date entered "{stage} (*)"' if match["pipeline"] else 'Date entered "{stage}"'] = "{stage}"
            elif cells and share_of(cells, is_date) > 0.8:
                word = re.sub(r"\b(date|time|on|at|entered|moved|to|since)\b", " ", column.casefold())
                stage, _ = guess_word("stage", word.strip())
                if stage:
                    columns[column] = stage
                    self.result.doubts.append(f"'{column}' is taken for the day on which a deal entered {stage}.")
        return columns

    def _cells(self, *kinds: Kind) -> Iterable[str]:
        for section, (sample, found) in self.sections.items():
            for name, column in found.items():
                if FIELDS[section][name].kind in kinds:
                    yield from sample.columns[column]

    # ---- the parts of the file

    def _head(self) -> list[str]:
        names = ", ".join(_quoted(sample.path.name) for sample in self.samples)
        return [
            f"# Proposed from {names}. Lines with TODO wait for you; the guide is docs/import-your-crm.md.",
            f"source = {_quoted(self.source)}   # how a deal is known again: do not change it later",
            '# time_zone = "Asia/Singapore"   # of times without an offset; left out: the business time zone',
            "",
        ]

    def _files(self) -> list[str]:
        texts = [sample for sample in self.samples if not sample.path.name.lower().endswith((".parquet", ".pq"))]
        if not texts:
            return []
        first = texts[0]
        for sample in texts[1:]:
            if (sample.encoding, sample.delimiter) != (first.encoding, first.delimiter):
                self.result.doubts.append(
                    f"{sample.path.name} is written otherwise than {first.path.name} ({sample.encoding}, "
                    f"{sample.delimiter!r}); a mapping has one [files] for all: export them alike, or make two."
                )
        return ["[files]", f"encoding = {_quoted(first.encoding)}", f"delimiter = {_quoted(first.delimiter)}", ""]

    def _numbers(self) -> list[str]:
        guess = guess_numbers(self._cells(Kind.MONEY))
        lines = ["[numbers]", f"decimal = {_quoted(guess.decimal)}"]
        if guess.thousands:
            lines.append(f"thousands = {_quoted(guess.thousands)}")
        if not guess.is_certain:
            self.result.doubts.append(
                f"The amounts show no decimals: '{guess.thousands or guess.decimal}' is taken to group thousands."
            )
        for kind, name in ((Kind.CONFIDENCE, "confidence"), (Kind.RATE, "rate")):
            numbers = [_number(text) for text in self._cells(kind) if not text.endswith("%")]
            if numbers:
                lines.append(f'{name} = "{"percent" if max(numbers) > 1 else "share"}"')
        if guess.signs:
            lines += ["", "[numbers.currencies]"]
        for sign in guess.signs:
            code = SIGNS.get(sign) or (sign.upper() if re.fullmatch("[A-Za-z]{3}", sign) else None)
            if code is None:
                answer = self.ask(f"Which currency is '{sign}'? (ISO code such as SGD)", ())
                code = answer.upper() if answer and re.fullmatch("[A-Za-z]{3}", answer) else None
            if code is None or re.search(r"[\d.,()-]", sign):
                self.result.doubts.append(f"The sign '{sign}' at amounts: say its currency in [numbers.currencies].")
                lines.append(f'# TODO {_quoted(sign)} = "…"   # amounts with it are rejected until you say')
            else:
                lines.append(f"{_quoted(sign)} = {_quoted(code)}")
        return [*lines, ""]

    def _dates(self) -> list[str]:
        cells = list(self._cells(Kind.MOMENT))
        if Section.DEALS in self.sections:
            sample = self.sections[Section.DEALS][0]
            cells += [
                cell
                for column in sample.header
                if column in self.entered or _ENTERED.fullmatch(column)
                for cell in sample.columns[column]
            ]
        guess = guess_dates(cells)
        comment = ""
        for day_first, month_first in guess.open_pairs[:1]:
            answer = self.ask("Dates such as 03/04/2025: does the day come first, or the month?", ("day", "month"))
            if answer == "month":
                swaps = dict(guess.open_pairs)
                guess.formats = [swaps.get(form, form) for form in guess.formats]
            elif answer is None:
                comment = f"   # TODO day or month first? Nothing in the files tells; else write {month_first}"
                self.result.doubts.append(
                    f"Dates could be day first or month first, and nothing in the files tells: {day_first} is assumed."
                )
        for day_first, month_first in guess.mixed_pairs[:1]:
            self.result.doubts.append(
                f"Some dates are day first ({day_first}) and some month first ({month_first}): correct the export."
            )
        return ["[dates]", f"formats = {json.dumps(guess.formats or ['%Y-%m-%d'])}{comment}", ""]

    def _words(self) -> list[str]:
        lines = []
        for name in WORDS:
            words = {
                normalise_word(cell): cell
                for section, (sample, found) in self.sections.items()
                if name in found and FIELDS[section][name].words
                for cell in sample.columns[found[name]]
            }
            if name == "stage" and Section.DEALS in self.sections:
                header = self.sections[Section.DEALS][0].header
                entered = [match["stage"] for match in map(_ENTERED.fullmatch, header) if match]
                words |= {normalise_word(word): word for word in entered}
            table = [line for word in list(words.values())[:_MOST_WORDS] for line in self._word(name, word)]
            if table:
                lines += [f"[words.{name}]", *table, ""]
        return lines

    def _word(self, name: str, word: str) -> Iterable[str]:
        if normalise_word(word) in {normalise_word(ours) for ours in WORDS[name]}:
            return
        ours, is_certain = guess_word(name, word)
        if not is_certain:
            guess = f" (looks like {ours})" if ours else ""
            answer = self.ask(f"Which {name} of ours is '{word}'?{guess}", WORDS[name])
            if answer in WORDS[name]:
                ours, is_certain = answer, True
        if ours is None:
            self.result.doubts.append(f"'{word}' is no {name} that we know: write it into [words.{name}].")
            yield f'# TODO {_quoted(word)} = "…"   # one of {", ".join(WORDS[name])}'
        else:
            if not is_certain:
                self.result.doubts.append(f"'{word}' is taken for {ours} ([words.{name}]).")
            yield f"{_quoted(word)} = {_quoted(ours)}" + ("" if is_certain else "   # by likeness: right?")

    def _section(self, section: Section) -> list[str]:
        sample, found = self.sections[section]
        fields = FIELDS[section]
        required = [name for name, about in fields.items() if about.required]
        lines = []
        if section is Section.DEALS:
            optional = [name for name in found if name not in required]
            lines = ["[deals]", f"optional = {json.dumps(optional)}", 'opening_stage = "lead_captured"', ""]
        lines.append(f"[{section}.columns]")
        lines += [f"{name} = {_quoted(found[name])}" for name in fields if name in found]
        constants = []
        for name in required:
            about = fields[name]
            if name in found:
                continue
            answer = (
                self.ask(f"No column says {name} ({about.about}). The same for all?", about.words)
                if about.words
                else None
            )
            if answer in about.words:
                constants.append(f"{name} = {_quoted(str(answer))}")
            elif about.words:
                constants.append(f'# TODO {name} = "…"   # {about.about}; one of {", ".join(about.words)}')
                self.result.missing.append(f"[{section}.constants] {name}, or its column: {about.about}.")
            else:
                lines.append(f'# TODO {name} = "…"   # {about.about}')
                self.result.missing.append(f"[{section}.columns] {name}: {about.about}.")
        if "currency" in fields and "currency" not in found:
            constants.append(
                f"currency = {_quoted(REPORTING)}   # where no sign says otherwise: your reporting currency"
            )
        if constants:
            lines += ["", f"[{section}.constants]", *constants]
        if section is Section.DEALS and self.entered:
            lines += ["", "[deals.stage_dates]"]
            lines += [f"{_quoted(column)} = {_quoted(stage)}" for column, stage in self.entered.items()]
        unused = [
            column
            for column in sample.header
            if column not in found.values() and column not in self.entered and not _ENTERED.fullmatch(column)
        ]
        if unused:
            shown = ", ".join(_quoted(column) for column in unused[:40]) + (", …" if len(unused) > 40 else "")
            lines += ["", f"# Not used of {_quoted(sample.path.name)}: {shown}"]
        return [*lines, ""]


def _quoted(text: str) -> str:
    """A TOML string, fit for a comment, too."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return 0.0
