"""How pages say things: stages and types in words, money and rates in figures, ages in plain language.

Pure functions from values to text. Money stays Decimal up to the moment it is written.
"""

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

NOTHING = "–"
UNIT = Decimal(1)
HUNDRED = Decimal(100)


def say(word: StrEnum | str | None) -> str:
    """Write a stored word as people do: `needs_analysis` becomes `Needs analysis`."""
    if not word:
        return NOTHING
    text = str(word).replace("_", " ")
    return text[:1].upper() + text[1:]


def amount(value: Decimal | None) -> str:
    """Write an amount in whole units with thousands separated; the exact figure belongs in the title."""
    return NOTHING if value is None else f"{value.quantize(UNIT, ROUND_HALF_EVEN):,}"


def exact_amount(value: Decimal | None, currency: str) -> str:
    """Write an amount to the cent with its currency, for titles."""
    return "no figure" if value is None else f"{currency} {value:,.2f}"


def short_amount(value: Decimal | None) -> str:
    """Write an amount with at most four digits, for cards: 950, 12.3 K, 4.56 M."""
    if value is None:
        return NOTHING
    for size, letter in ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K")):
        scaled = value / size
        if abs(scaled) >= UNIT:
            digits = 0 if abs(scaled) >= HUNDRED else 1 if abs(scaled) >= 10 else 2
            return f"{scaled:,.{digits}f} {letter}"
    return f"{value:,.0f}"


def rate(value: float | Decimal | None) -> str:
    """Write a share of one as a percentage."""
    return NOTHING if value is None else f"{Decimal(str(value)) * HUNDRED:.1f} %"


def days(value: float | Decimal | None) -> str:
    """Write a number of days with one decimal."""
    return NOTHING if value is None else f"{value:,.1f}"


def count(value: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun: `1 deal`, `3 deals`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def day(value: date) -> str:
    """Write a date so that nobody mistakes month for day: 22 Nov 2026."""
    return f"{value.day} {value:%b %Y}"


def age(since: datetime, now: datetime) -> str:
    """Say how long ago something happened, in the largest unit that fits."""
    passed = max(now - since, timedelta(0))
    minutes = int(passed.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return f"{passed.days} days ago"


def entry(kind: str) -> str:
    """Say the type of a log entry about a deal: `deal.stage_changed` becomes `stage changed`."""
    return kind.removeprefix("deal.").replace(".", " ").replace("_", " ")


def initials(name: str) -> str:
    """Return the one or two letters that stand for a person."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper() or "?"
