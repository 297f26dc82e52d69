"""What texts mean, judged by many of them: the formats of dates, the signs in numbers, the words for our words."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from ingestion.crm_files.fields import WORDS
from ingestion.crm_files.mapping import load_mapping, normalise_word, shipped_mappings

_TIME = (
    r"(?P<time>(?P<gap>,? |T)\d{1,2}:\d{2}(?P<seconds>:\d{2})?(?P<half> ?[AaPp][Mm])?(?P<offset> ?[+-]\d{2}:?\d{2})?)?"
)
_NUMERIC = re.compile(r"(?P<first>\d{1,2})(?P<sign>[/.-])(?P<second>\d{1,2})(?P=sign)(?P<year>\d{4}|\d{2})" + _TIME)
_YEAR_FIRST = re.compile(r"\d{4}(?P<sign>[/.-])\d{1,2}(?P=sign)\d{1,2}" + _TIME)
_DAY_NAMED = re.compile(r"\d{1,2}(?P<sign>[ -])(?P<month>[A-Za-z]{3,9})(?P=sign)(?P<year>\d{4}|\d{2})" + _TIME)
_MONTH_NAMED = re.compile(r"(?P<month>[A-Za-z]{3,9}) \d{1,2}(?P<comma>,?) \d{4}" + _TIME)
_NUMBER = re.compile(r"\(?[+-]?\s*(?P<body>\d[\d.,' \u00a0\u202f]*)\)?")
SIGNS = {
    "S$": "SGD", "US$": "USD", "A$": "AUD", "AU$": "AUD", "HK$": "HKD", "NZ$": "NZD", "C$": "CAD", "CA$": "CAD",
    "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "RM": "MYR", "฿": "THB", "₱": "PHP", "Rp": "IDR", "₩": "KRW",
}  # fmt: skip
LIKE = 0.78  # from here on two words are taken for one
# Words that the trade uses for our stages, beside those of the shipped mappings.
_TRADE = {
    "stage": {
        "lead_captured": ["new", "lead", "enquiry", "inquiry", "prospect", "prospecting", "new enquiry", "contacted"],
        "qualification": ["qualified", "qualifying", "viewing booked", "shortlisted"],
        "needs_analysis": ["viewing", "viewings", "discovery", "requirements", "site visit", "needs", "inspection"],
        "proposal": ["offer", "offer made", "offer sent", "quote", "quotation", "proposal", "letter of intent", "loi"],
        "negotiation": ["negotiating", "engaging", "counter offer", "counteroffer", "in negotiation"],
        "agreement": ["contract", "contract sent", "option signed", "signed", "exchanged", "heads of terms", "otp"],
        "due_diligence": ["due diligence", "dd", "legal", "legals", "survey"],
        "awaiting_closure": ["completion", "awaiting completion", "closing", "in escrow", "pending completion"],
        "closed_won": ["won", "sold", "let", "leased", "completed", "success", "closed", "deal"],
        "closed_lost": ["lost", "dead", "failed", "rejected"],
        "cancelled": ["cancelled", "canceled", "withdrawn", "dropped", "abandoned", "void", "deleted"],
    },
    "deal_type": {"buy_side": ["buy", "purchase", "acquisition"], "sell_side": ["sell", "sale", "disposal", "listing"],
                  "lease": ["let", "letting", "rent", "rental", "leasing", "tenancy"]},
    "asset_type": {"residential": ["flat", "apartment", "house", "villa", "condominium"], "retail": ["shop"]},
    "active": {"yes": ["active", "true", "y", "1"], "no": ["inactive", "left", "false", "n", "0"]},
}  # fmt: skip


@dataclass
class DateGuess:
    """The formats that texts are written in; `open_pairs` could be day first or month first, and nothing tells."""

    formats: list[str] = field(default_factory=list)
    open_pairs: list[tuple[str, str]] = field(default_factory=list)  # day first, month first
    mixed_pairs: list[tuple[str, str]] = field(default_factory=list)  # both occur


def is_date(text: str) -> bool:
    """Whether a text looks like a date."""
    return any(shape.fullmatch(text) for shape in (_NUMERIC, _YEAR_FIRST, _DAY_NAMED, _MONTH_NAMED))


def guess_dates(texts: Iterable[str]) -> DateGuess:
    """Deduce the formats of dates, most frequent first."""
    found: Counter[str] = Counter()
    numeric: dict[tuple[str, str], Counter[str]] = {}
    for text in texts:
        if shape := _NUMERIC.fullmatch(text):
            sign, year = shape["sign"], "%Y" if len(shape["year"]) == 4 else "%y"
            pair = tuple(f"{a}{sign}{b}{sign}{year}{_time(shape)}" for a, b in (("%d", "%m"), ("%m", "%d")))
            says = "day" if int(shape["first"]) > 12 else "month" if int(shape["second"]) > 12 else "nothing"
            numeric.setdefault((pair[0], pair[1]), Counter())[says] += 1
        elif shape := _YEAR_FIRST.fullmatch(text):
            found[f"%Y{shape['sign']}%m{shape['sign']}%d{_time(shape)}"] += 1
        elif shape := _DAY_NAMED.fullmatch(text):
            year = "%Y" if len(shape["year"]) == 4 else "%y"
            found[f"%d{shape['sign']}{_month(shape)}{shape['sign']}{year}{_time(shape)}"] += 1
        elif shape := _MONTH_NAMED.fullmatch(text):
            found[f"{_month(shape)} %d{shape['comma']} %Y{_time(shape)}"] += 1
    guess = DateGuess()
    # The order of day and month is a habit of the CRM: what one column shows holds for all that are written so.
    shown = {name: sum(counts[name] for counts in numeric.values()) for name in ("day", "month")}
    for (day_first, month_first), counts in numeric.items():
        if shown["day"] and shown["month"]:
            guess.mixed_pairs.append((day_first, month_first))
        elif not shown["day"] and not shown["month"]:
            guess.open_pairs.append((day_first, month_first))
        found[month_first if shown["month"] > shown["day"] else day_first] += counts.total()
    guess.formats = [
        form for form, _ in found.most_common() if not form.startswith("%Y-%m-%dT")
    ]  # ISO 8601 needs no mention
    return guess


def _month(shape: re.Match[str]) -> str:
    return "%b" if len(shape["month"]) == 3 else "%B"


def _time(shape: re.Match[str]) -> str:
    if not shape["time"]:
        return ""
    seconds = ":%S" if shape["seconds"] else ""
    half = shape["half"] or ""
    hours = f"%I:%M{seconds}{' ' if half.startswith(' ') else ''}%p" if half else f"%H:%M{seconds}"
    offset = shape["offset"] or ""
    return shape["gap"] + hours + (f"{' ' if offset.startswith(' ') else ''}%z" if offset else "")


@dataclass
class NumberGuess:
    """How amounts are written. `signs`: what stands at amounts and is no digit."""

    decimal: str = "."
    thousands: str = ""
    signs: list[str] = field(default_factory=list)
    is_certain: bool = True


def sign_of(text: str) -> str | None:
    """Return the currency sign at an amount, '' where there is none, None where the text is no amount."""
    bare = text.strip().removesuffix("%").strip("()").strip()
    lead = re.match(r"[+-]?\s*([^\d\s.,()+-]{1,4})\s*(?=[\d(+-])", bare)
    tail = re.search(r"(?<=\d)\s*([^\d\s.,()+'-]{1,4})$", bare)
    sign = lead[1] if lead else tail[1] if tail else ""
    rest = bare.replace(sign, "", 1).strip() if sign else bare
    return sign if _NUMBER.fullmatch(rest) else None


def guess_numbers(texts: Iterable[str]) -> NumberGuess:
    """Deduce the signs in amounts: which one is the decimal, which one groups thousands, which currencies."""
    decimals: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    weak: Counter[str] = Counter()
    signs: Counter[str] = Counter()
    for text in texts:
        sign = sign_of(text)
        if sign is None:
            continue
        if sign:
            signs[sign] += 1
        body = (_NUMBER.search(text.replace(sign, "", 1)) or [""])[0].strip(" ()+-")
        marks = re.findall(r"[.,' \u00a0\u202f]", body)
        for mark in set(marks):
            after = len(body) - body.rindex(mark) - 1
            if marks.count(mark) > 1 or mark in "' \u00a0\u202f" or (mark != marks[-1]):
                groups[" " if mark in "\u00a0\u202f" else mark] += 1
            elif after != 3 or len(set(marks)) > 1:
                decimals[mark] += 1
            else:
                weak[mark] += 1  # 1,234: thousands, most likely
    decimal = decimals.most_common(1)[0][0] if decimals else "," if groups["."] else "."
    grouping = groups + Counter({mark: count for mark, count in weak.items() if mark != decimal})
    thousands = next((mark for mark, _ in grouping.most_common() if mark != decimal), "")
    certain = not (weak and not decimals and not groups) and not (len(decimals) > 1)
    if not decimals and not groups and weak["."]:
        decimal, thousands = ",", "."
    return NumberGuess(decimal, thousands, [sign for sign, _ in signs.most_common()], certain)


@cache
def _known_words(name: str) -> dict[str, str]:
    """Every word that we know for a field of words, normalised -> ours."""
    known: dict[str, str] = {}
    for mapping in map(load_mapping, shipped_mappings()):
        known |= mapping.word_tables.get(name, {})
    known |= {normalise_word(theirs): ours for ours, each in _TRADE.get(name, {}).items() for theirs in each}
    return known | {normalise_word(word): word for word in WORDS[name]}


@cache
def guess_word(name: str, text: str) -> tuple[str | None, bool]:
    """Return our word for the source's (None: nothing is near) and whether that is certain."""
    known = _known_words(name)
    word = re.sub(r"^\W*\d+\W+\s*|\s*\(.*\)$", "", normalise_word(text)) or normalise_word(text)
    if word in known:
        return known[word], True
    near = difflib.get_close_matches(word, known, n=1, cutoff=LIKE)
    if near:
        return known[near[0]], False
    # A word of ours within theirs: "Deal won by us".
    inside = [ours for each, ours in known.items() if len(each) > 2 and re.search(rf"\b{re.escape(each)}\b", word)]
    return (inside[0], False) if len(set(inside)) == 1 else (None, False)


def share_of(texts: Sequence[str], test: object) -> float:
    """Which share of texts passes a test; 0 of none."""
    return sum(bool(test(text)) for text in texts) / len(texts) if texts and callable(test) else 0.0
