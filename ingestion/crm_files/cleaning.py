"""Text to typed columns, with polars expressions: dates, money, shares, words. What cannot be read gets a reason.

    TextBatch.frame --map--> one String column per field --read--> typed columns --contract--> rows that may go in

A row is rejected once, with its first failing column in the order of the fields; further failures join the reason.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation

import pandera.errors
import polars as pl

from ingestion.crm_contracts import CONFIDENCE, MOMENT, MONEY, RATE, contract_of, type_of
from ingestion.crm_files.fields import FIELDS, Kind, Section
from ingestion.crm_files.mapping import REPORTING, Mapping, SectionMapping, normalise_word
from ingestion.crm_files.reading import LINE
from ledger.settings import get_settings

# ISO 8601 is understood whatever the mapping says: year first is never ambiguous.
ISO_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d")
FIRST_YEAR, LAST_YEAR = 1900, 2200
# Kept as they stand in the file, to be quoted when rows contradict each other.
TEXTS_KEPT = {Section.DEALS: ("t:stage", "t:closed_on", "t:result")}
STAGE_DATES = pl.List(pl.Struct({"stage": pl.String, "moved_on": pl.Datetime("us"), "column": pl.String}))
FAILURE_SCHEMA = {LINE: pl.Int64, "order": pl.Int32, "field": pl.String, "value": pl.String, "reason": pl.String}
REJECT_SCHEMA = {LINE: pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String}


@dataclass
class CleanBatch:
    """`rows`: the typed fields, `line`, `meta:<key>` texts, and `stage_dates` where the mapping has such columns;
    `rejects`: line, column of the file, value, reason."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    rejected_deals: list[tuple[str, int]]  # id and line of deal rows among the rejects
    ambiguous_dates: int
    passed_over: int  # rows that [<section>.only] leaves out


def clean(frame: pl.DataFrame, section: Section, mapping: Mapping, now: datetime) -> CleanBatch:
    """Map, read and check a batch of text rows of one section. `now` is aware."""
    rows = frame.height
    frame = frame.filter(_only(frame, mapping.sections[section]))
    texts = frame.select(_mapped_texts(frame, section, mapping))
    readings = {name: _reading(name, section, mapping) for name in FIELDS[section]}
    read = texts.with_columns([expression for reading in readings.values() for expression in reading.helpers])
    read = read.with_columns(
        [
            expression
            for name, reading in readings.items()
            for expression in (reading.value.alias(name), reading.reason.alias(f"r:{name}"))
        ]
    )
    read = read.with_columns(_constants(section, mapping))
    if section in (Section.DEALS, Section.COMMISSIONS):
        read = _with_currency(read, section)
    reasons = [
        read.lazy()
        .filter(pl.col(f"r:{name}").is_not_null())
        .select(LINE, order=pl.lit(order), field=pl.lit(name), value=f"t:{name}", reason=f"r:{name}")
        for order, name in enumerate(FIELDS[section])
    ]
    failures = [*pl.collect_all(reasons), _contract_failures(read, section, now)]
    has_stage_dates = section is Section.DEALS and bool(mapping.sections[section].stage_dates)
    if has_stage_dates:
        entered, bad = read_stage_dates(frame, mapping, now)
        read = read.with_columns(entered)
        failures.append(bad)
    rejects = _first_failures(pl.concat(failures), mapping.sections[section].named(_header(frame)))
    kept = read.select(
        LINE,
        *FIELDS[section],
        *(["stage_dates"] if has_stage_dates else []),
        *[name for name in texts.columns if name.startswith("meta:") or name in TEXTS_KEPT.get(section, ())],
    )
    deals = read.join(rejects, on=LINE, how="semi").select(LINE, id="t:id") if section is Section.DEALS else None
    return CleanBatch(
        kept.join(rejects, on=LINE, how="anti", maintain_order="left"),
        rejects,
        [] if deals is None else [(id_, line) for line, id_ in deals.rows() if id_ is not None],
        _count_ambiguous(texts, section, mapping),
        rows - frame.height,
    )


def _header(frame: pl.DataFrame) -> list[str]:
    return [name[2:] for name in frame.columns if name.startswith("c:")]


def _only(frame: pl.DataFrame, part: SectionMapping) -> pl.Expr:
    """Whether a row is of this section's matter, where one file tells of several ([<section>.only])."""
    tests = [
        _normal(pl.col(f"c:{column}").fill_null("")).is_in([normalise_word(word) for word in words])
        for column, words in part.only.items()
        if f"c:{column}" in frame.columns
    ]
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def _mapped_texts(frame: pl.DataFrame, section: Section, mapping: Mapping) -> list[pl.Expr]:
    """A trimmed String column `t:<field>` per field (null where empty or not in the file), and `meta:<key>`."""
    part = mapping.sections[section]

    def text_of(columns: tuple[str, ...]) -> pl.Expr:
        texts = [_trimmed(column) for column in columns if f"c:{column}" in frame.columns]
        return pl.coalesce(texts) if texts else pl.lit(None, pl.String)

    metadata = []
    for key, columns in part.metadata.items():
        text = text_of(columns)
        if table := mapping.word_tables.get(key):
            text = pl.coalesce(_word(text, table), text)
        metadata.append(text.alias(f"meta:{key}"))
    return [
        pl.col(LINE),
        *[text_of(part.columns.get(name, ())).alias(f"t:{name}") for name in FIELDS[section]],
        *metadata,
    ]


def _trimmed(column: str) -> pl.Expr:
    text = pl.col(f"c:{column}").str.strip_chars()
    return pl.when(text != "").then(text)


@dataclass
class _Reading:
    """How one field is read: columns needed on the way, the typed value, and the reason where it cannot be read."""

    value: pl.Expr
    reason: pl.Expr = field(default_factory=lambda: pl.lit(None, pl.String))
    helpers: tuple[pl.Expr, ...] = ()


def _reading(name: str, section: Section, mapping: Mapping) -> _Reading:
    text = pl.col(f"t:{name}")
    match FIELDS[section][name].kind:
        case Kind.WORD:
            return _Reading(pl.coalesce(_word(text, mapping.word_tables[name]), text))
        case Kind.MOMENT:
            return _read_moment(name, mapping)
        case Kind.MONEY:
            return _read_money(name, mapping)
        case Kind.CURRENCY:
            symbols = {normalise_word(symbol): code for symbol, code in mapping.numbers.currencies.items()}
            return _Reading(pl.coalesce(_word(text, symbols), text.str.to_uppercase()))
        case Kind.RATE:
            return _read_share(name, mapping, mapping.numbers.rate == "percent", RATE)
        case Kind.CONFIDENCE:
            return _read_share(name, mapping, mapping.numbers.confidence == "percent", CONFIDENCE)
        case Kind.TEXT if name == "lead_source" and "lead_source" in mapping.word_tables:
            return _Reading(pl.coalesce(_word(text, mapping.word_tables[name]), text))
        case _:
            return _Reading(text)


def _normal(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"[\s_-]+", " ").str.strip_chars().str.to_lowercase()


def _word(text: pl.Expr, table: dict[str, str]) -> pl.Expr:
    """Our word for the source's, or null. Comparison as in `normalise_word`."""
    return _normal(text).replace_strict(table or {"": ""}, default=None, return_dtype=pl.String)


def _parse(text: pl.Expr, form: str, zone: str) -> pl.Expr:
    """Moment in UTC by one format; null where it does not fit or the year is absurd."""
    if "z" in form:
        offset = text.str.replace("[Zz]$", "+00:00")
        moment = offset.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    else:
        local = text.str.to_datetime(form, time_unit="us", strict=False)
        local = pl.when(local.dt.year().is_between(FIRST_YEAR, LAST_YEAR)).then(local)
        moment = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return pl.when(moment.dt.year().is_between(FIRST_YEAR, LAST_YEAR)).then(moment)


def _read_moment(name: str, mapping: Mapping) -> _Reading:
    text = pl.col(f"t:{name}")
    return _Reading(
        pl.col(f"m:{name}"),
        pl.when(text.is_not_null() & pl.col(f"m:{name}").is_null()).then(pl.lit(_no_date(mapping))),
        (_moment(text, mapping).alias(f"m:{name}"),),
    )


def _no_date(mapping: Mapping) -> str:
    return f"is not a date in any of the mapping's formats ({', '.join(mapping.dates.formats)})"


def _moment(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    """Moment in UTC by the first format that fits."""
    forms = list(dict.fromkeys((*mapping.dates.formats, *ISO_FORMATS)))
    return pl.coalesce([_parse(text, form, mapping.zone.key) for form in forms]).cast(MOMENT)


def read_stage_dates(frame: pl.DataFrame, mapping: Mapping, now: datetime) -> tuple[pl.Series, pl.DataFrame]:
    """Read the columns that say when a deal entered a stage: a list of moves per row, and the failures."""
    entered: list[pl.Expr] = []
    failures = [pl.LazyFrame(schema=FAILURE_SCHEMA)]
    for order, (column, word, stage) in enumerate(mapping.stage_columns(_header(frame))):
        text, moment = _trimmed(column), _moment(_trimmed(column), mapping)
        reason = (
            pl.when(text.is_null())
            .then(None)
            .when(pl.lit(stage is None))
            .then(pl.lit(f"dates the stage '{word}', which is none of our words; add it to [words.stage]"))
            .when(moment.is_null())
            .then(pl.lit(_no_date(mapping)))
            .when(moment > now)
            .then(pl.lit("lies in the future"))
        )
        failures.append(
            frame.lazy()
            .select(
                LINE,
                order=pl.lit(100 + order, pl.Int32),
                field=pl.lit(column),
                value=text,
                reason=reason.cast(pl.String),
            )
            .filter(pl.col("reason").is_not_null())
        )
        move = pl.struct(
            stage=pl.lit(stage, pl.String), moved_on=moment.dt.replace_time_zone(None), column=pl.lit(column)
        )
        entered.append(pl.when(moment.is_not_null()).then(move))
    moves = pl.concat_list(entered).list.drop_nulls() if entered else pl.lit([], STAGE_DATES)
    table = frame.select(LINE, stage_dates=moves.cast(STAGE_DATES))
    return table.get_column("stage_dates"), pl.concat(failures).collect()


def _count_ambiguous(texts: pl.DataFrame, section: Section, mapping: Mapping) -> int:
    """Cells that two formats of the mapping read as different days."""
    moments = [name for name, field in FIELDS[section].items() if field.kind is Kind.MOMENT]
    zone = mapping.zone.key
    found = 0
    for name in moments:
        tests = [
            _parse(pl.col(f"t:{name}"), first, zone) != _parse(pl.col(f"t:{name}"), second, zone)
            for first, second in mapping.dates.ambiguous_pairs
        ]
        if tests:
            found += texts.select(pl.any_horizontal(tests).sum()).item() or 0
    return int(found)


def _read_money(name: str, mapping: Mapping) -> _Reading:
    """Money: currency sign before or after, thousands in threes, sign or brackets, two decimals, 14 digits before."""
    numbers = mapping.numbers
    text = pl.col(f"t:{name}").str.replace_all("[\u00a0\u202f]", " ")
    symbols = {**{code: code for code in numbers.currencies.values()}, **numbers.currencies}
    ordered = sorted(symbols, key=len, reverse=True)
    any_symbol = "(?i)(" + "|".join(re.escape(symbol) for symbol in ordered) + ")" if ordered else "[^\\s\\S]"
    found = text.str.extract(any_symbol, 1) if ordered else pl.lit(None, pl.String)
    bare = text.str.replace(any_symbol, "").str.strip_chars()
    bracketed = bare.str.contains(r"^\(.*\)$")
    bare = pl.when(bracketed).then("-" + bare.str.strip_chars("()")).otherwise(bare).str.replace(r"^([+-])\s+", "${1}")
    decimal, thousands = re.escape(numbers.decimal), re.escape(numbers.thousands)
    groups = rf"|\d{{1,3}}(?:{thousands}\d{{3}})+" if thousands else ""
    shape = rf"^[+-]?(?:\d+{groups})(?:{decimal}\d*)?$"
    plain = bare
    if numbers.thousands:
        plain = plain.str.replace_all(numbers.thousands, "", literal=True)
    plain = plain.str.replace(numbers.decimal, ".", literal=True).str.replace(r"(\.\d*?)0*$", "${1}")
    plain = plain.str.strip_chars_end(".").str.strip_prefix("+")
    column, number = pl.col(f"t:{name}"), pl.col(f"n:{name}")
    sound = number.is_not_null() & (pl.col(f"d:{name}") <= 14) & (pl.col(f"f:{name}") <= 2)
    return _Reading(
        pl.when(sound).then(number).cast(MONEY, strict=False),
        pl.when(column.is_not_null() & number.is_null())
        .then(pl.lit("is not a number as the mapping's [numbers] describes them"))
        .when(pl.col(f"d:{name}") > 14)
        .then(pl.lit("has more than 14 digits before the decimal point"))
        .when(pl.col(f"f:{name}") > 2)
        .then(pl.lit("has more than two decimals")),
        (
            pl.when(bare.str.contains(shape)).then(plain).alias(f"n:{name}"),
            plain.str.extract(r"^-?0*(\d*)", 1).str.len_chars().fill_null(0).alias(f"d:{name}"),
            plain.str.extract(r"\.(\d*)$", 1).str.len_chars().fill_null(0).alias(f"f:{name}"),
            _word(found, {normalise_word(symbol): code for symbol, code in symbols.items()}).alias(f"s:{name}"),
        ),
    )


def _read_share(name: str, mapping: Mapping, is_percent: bool, kind: pl.Decimal) -> _Reading:
    """A share of 1, written as share or percentage; a % sign always means a percentage. Exact, through `Decimal`."""

    def read(texts: pl.Series) -> pl.Series:
        table = {text: _share(text, mapping.numbers.decimal, is_percent, kind.scale) for text in texts.unique()}
        return pl.Series([table[text] for text in texts], dtype=pl.Struct({"value": pl.String, "reason": pl.String}))

    returned = pl.Struct({"value": pl.String, "reason": pl.String})
    both = pl.col(f"t:{name}").map_batches(read, return_dtype=returned)
    return _Reading(
        pl.col(f"b:{name}").struct.field("value").cast(kind, strict=False),
        pl.col(f"b:{name}").struct.field("reason"),
        (both.alias(f"b:{name}"),),
    )


def _share(text: str | None, decimal: str, is_percent: bool, scale: int) -> dict[str, str | None]:
    if text is None:
        return {"value": None, "reason": None}
    bare = text.removesuffix("%").strip()
    if not re.fullmatch(rf"[+-]?\d+(?:{re.escape(decimal)}\d*)?", bare):
        return {"value": None, "reason": "is not a number as the mapping's [numbers] describes them"}
    try:
        number = Decimal(bare.replace(",", "."))
        share = number / 100 if is_percent or text.endswith("%") else number
        if not 0 <= share <= 1:
            unit = "percentages (0 to 100)" if is_percent or text.endswith("%") else "shares of 1 (0 to 1)"
            return {"value": None, "reason": f"is out of range; the mapping reads {unit} here"}
        exact = share.quantize(Decimal(1).scaleb(-scale))
    except InvalidOperation:
        return {"value": None, "reason": "has too many digits"}
    if exact != share:
        return {"value": None, "reason": f"is finer than {scale} decimals of a share of 1"}
    return {"value": f"{exact:f}", "reason": None}


def _constants(section: Section, mapping: Mapping) -> list[pl.Expr]:
    """What the mapping states for empty cells."""
    constants = dict(mapping.sections[section].constants)
    if constants.get("currency") == REPORTING:
        constants["currency"] = get_settings().reporting_currency
    return [
        pl.coalesce(
            pl.col(name),
            # An unreadable cell is not an empty one.
            pl.when(pl.col(f"t:{name}").is_null()).then(pl.lit(value)).cast(type_of(FIELDS[section][name])),
        ).alias(name)
        for name, value in constants.items()
    ]


def _with_currency(read: pl.DataFrame, section: Section) -> pl.DataFrame:
    """Currency from its own column, else from the sign at an amount, else the constant; two that differ are refused."""
    amounts = [name for name, field in FIELDS[section].items() if field.kind is Kind.MONEY]
    sign = pl.coalesce([pl.col(f"s:{name}") for name in amounts])
    stated = pl.when(pl.col("t:currency").is_not_null()).then(pl.col("currency"))
    first = amounts[0]
    clash = sign.is_not_null() & stated.is_not_null() & (sign != stated)
    for name in amounts[1:]:
        clash = clash | (pl.col(f"s:{name}").is_not_null() & (pl.col(f"s:{name}") != sign))
    currency = pl.coalesce(stated, sign, pl.col("currency"))
    any_amount = pl.any_horizontal([pl.col(name).is_not_null() for name in amounts])
    return read.with_columns(
        currency.alias("currency"),
        pl.when(clash & pl.col(f"r:{first}").is_null())
        .then(pl.lit("names another currency than the row does elsewhere"))
        .otherwise(pl.col(f"r:{first}"))
        .alias(f"r:{first}"),
        pl.when(any_amount & currency.is_null())
        .then(pl.lit("is empty, and neither a sign at the amount nor a constant of the mapping says the currency"))
        .alias("r:currency"),
    )


def _contract_failures(read: pl.DataFrame, section: Section, now: datetime) -> pl.DataFrame:
    """Check the contract; return line, order, field, value (as in the file) and reason of what fails it."""
    fields = list(FIELDS[section])
    frame = read.select(LINE, *fields)
    try:
        contract_of(section, now).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        failed = [
            (int(row["index"]), row["column"], row["check"])
            for row in error.failure_cases.iter_rows(named=True)
            if row["index"] is not None and row["column"] in fields
        ]
        if not failed:
            raise  # the frame's shape is wrong: our mistake, not the file's
        rows = []
        lines = read.get_column(LINE)
        for index, name, check in failed:
            reason = "is empty but required" if check == "not_nullable" else check
            value = read.get_column(f"t:{name}")[index]
            rows.append((lines[index], fields.index(name), name, value, reason))
        return pl.DataFrame(rows, schema=FAILURE_SCHEMA, orient="row")
    return pl.DataFrame(schema=FAILURE_SCHEMA)


def _first_failures(failures: pl.DataFrame, columns: dict[str, str]) -> pl.DataFrame:
    """One reject a line: the first failing column, with the others in the reason."""
    if failures.is_empty():
        return pl.DataFrame(schema=REJECT_SCHEMA)
    return (
        # A cell that could not be read is null, and so fails `required` too: the first reason is the true one.
        failures.unique(["line", "field"], keep="first", maintain_order=True)
        .sort("line", "order", maintain_order=True)
        .with_columns(column=pl.col("field").replace_strict(columns, default=pl.col("field"), return_dtype=pl.String))
        .group_by("line", maintain_order=True)
        .agg(
            pl.col("column").first(),
            pl.col("value").first(),
            reason=pl.concat_str(
                pl.col("reason").first(),
                (
                    "; also '"
                    + pl.col("column").slice(1)
                    + "' ('"
                    + pl.col("value").slice(1).fill_null("")
                    + "') "
                    + pl.col("reason").slice(1)
                ).str.join(""),
            ),
        )
        .select(LINE, "column", "value", "reason")
    )
