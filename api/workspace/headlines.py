"""The headline figures of an agent: the window's value, what is behind it, its change since the window before."""

from decimal import Decimal

from nicegui import ui

from api.figures import Snapshot, Summary, WindowFigures
from api.workspace import wording
from api.workspace.elements import box, notice, text

Number = Decimal | int | float
Figures = Snapshot | WindowFigures


def show_headlines(summary: Summary, before: Snapshot | None) -> None:
    """Draw the figures; `before` is the snapshot at the end of the previous window, None when there is no window."""
    _show_missing_rates(summary)
    with box("div", "headlines"):
        _show_closings(summary)
        _show_pipeline(summary.as_of, before)
        _show_commissions(summary, before)


def _show_closings(summary: Summary) -> None:
    now, window, previous = summary.as_of, summary.in_window, summary.previous_window
    currency = now.reporting_currency
    with _headline("Won", "deals_closed_won", f"{window.deals_closed_won:,}", window.deals_closed_won):
        _say_worth(window.won_value, window.closed_unconverted_count, currency)
        if window.first is not None:
            _note(f"{now.deals_closed_won:,} to date")
        _change(window, previous, "deals_closed_won")
    with _headline("Win rate", "conversion_rate", wording.rate(window.conversion_rate), window.conversion_rate):
        _note(f"{window.conversion_numerator:,} won of {window.conversion_denominator:,} closed")
        _change_of_rate(window, previous)
    with _headline("Lost", "deals_closed_lost", f"{window.deals_closed_lost:,}", window.deals_closed_lost):
        _say_worth(window.lost_value, window.closed_unconverted_count, currency)
        if window.deals_cancelled:
            _note(f"{window.deals_cancelled:,} cancelled besides")
        _change(window, previous, "deals_closed_lost", more_is_better=False)
    with _headline("Days to win", "avg_cycle_days", wording.days(window.avg_cycle_days), window.avg_cycle_days):
        _note(f"median {wording.days(window.median_cycle_days)}, over {wording.count(window.cycle_n, 'deal')}")
        _change(window, previous, "avg_cycle_days", more_is_better=False)
    average = window.avg_won_value
    unit, exact = ("", "") if average is None else (currency, wording.exact_amount(average, currency))
    with _headline("Average deal won", "avg_won_value", wording.amount(average), average, unit=unit, title=exact):
        _warn_of(window.closed_unconverted_count, "closed deal")
        _change(window, previous, "avg_won_value")


def _show_pipeline(now: Snapshot, before: Snapshot | None) -> None:
    currency = now.reporting_currency
    with _headline("Open deals", "deals_open", f"{now.deals_open:,}", now.deals_open):
        _note(f"on {wording.day(now.snapshot_date)}")
        _change(now, before, "deals_open", more_is_better=None)
    with _money_headline("Gross pipeline", "gross_pipeline_value", now.gross_pipeline_value, currency):
        _warn_of(now.unconverted_count, "open deal")
        _change(now, before, "gross_pipeline_value")
    with _money_headline("Weighted pipeline", "weighted_pipeline_value", now.weighted_pipeline_value, currency):
        _warn_of(now.unconverted_count, "open deal")
        if now.value_without_confidence:
            _note(f"{currency} {wording.amount(now.value_without_confidence)} of gross by stage default")
        _change(now, before, "weighted_pipeline_value")


def _show_commissions(summary: Summary, before: Snapshot | None) -> None:
    now, window, previous = summary.as_of, summary.in_window, summary.previous_window
    currency = now.reporting_currency
    confirmed = window.confirmed_commission_amount
    with _money_headline("Confirmed commission", "confirmed_commission_amount", confirmed, currency):
        if window.first is not None:
            _note(f"{currency} {wording.amount(now.confirmed_commission_amount)} to date")
        _warn_of(now.commission_unconverted_count, "commission")
        _change(window, previous, "confirmed_commission_amount")
    disputed = now.disputed_commission_amount
    with _money_headline("In dispute", "disputed_commission_amount", disputed, currency):
        _note(f"on {wording.day(now.snapshot_date)}")
        _change(now, before, "disputed_commission_amount", more_is_better=False)


def _headline(label: str, key: str, shown: str, value: Number | None, *, unit: str = "", title: str = "") -> ui.element:
    """Make a figure's tile and return it to be filled; its exact value stands in the markup for whoever reads that."""
    tile = box("section", "headline", aria_label=label, data_metric=key, data_value="" if value is None else str(value))
    with tile:
        text("h2", label, "headline-label")
        with box("p", "headline-value") as figure:
            if unit:
                text("span", unit, "unit")
            text("span", shown)
        if title:
            figure.props["title"] = title
    return tile


def _money_headline(label: str, key: str, value: Decimal, currency: str) -> ui.element:
    exact = wording.exact_amount(value, currency)
    return _headline(label, key, wording.amount(value), value, unit=currency, title=exact)


def _show_missing_rates(summary: Summary) -> None:
    """Say loudly that amounts are missing, and what to do: a zero for want of a rate must not pass for a figure."""
    now, window = summary.as_of, summary.in_window
    counts = (
        (window.closed_unconverted_count, "closed deal"),
        (now.unconverted_count, "open deal"),
        (now.commission_unconverted_count, "commission"),
    )
    parts = [wording.count(count, noun) for count, noun in counts if count]
    if not parts:
        return
    left_out = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    with notice(
        f"Money is missing here: {left_out} in a currency without an exchange rate.",
        f"Amounts in {now.reporting_currency} leave them out; by currency they are complete. On the server:",
    ):
        text("code", "dealbook reference fx_rates.csv && dealbook refresh")


def _say_worth(value: Decimal, left_out: int, currency: str) -> None:
    if value or not left_out:
        _note(f"worth {currency} {wording.amount(value)}")
    _warn_of(left_out, "closed deal")


def _warn_of(left_out: int, noun: str) -> None:
    if left_out:
        text("p", f"{wording.count(left_out, noun)} left out: no exchange rate", "headline-note headline-warning")


def _note(words: str) -> None:
    text("p", words, "headline-note")


def _change(figures: Figures, earlier: Figures | None, key: str, *, more_is_better: bool | None = True) -> None:
    """Say how a figure changed since the window before; nothing when there is nothing to compare."""
    now: Number | None = getattr(figures, key)
    before: Number | None = getattr(earlier, key, None)
    if now is None or before is None:
        return
    difference = Decimal(str(now)) - Decimal(str(before))
    places = 1 if isinstance(now, float) else 0
    _say_change(difference, f"{abs(difference):,.{places}f}{_share(difference, before)}", more_is_better)


def _change_of_rate(window: WindowFigures, previous: WindowFigures | None) -> None:
    if window.conversion_rate is None or previous is None or previous.conversion_rate is None:
        return
    points = Decimal(str(window.conversion_rate - previous.conversion_rate)) * 100
    _say_change(points, f"{abs(points):.1f} points", more_is_better=True)


def _share(difference: Decimal, before: Number) -> str:
    if not before:
        return ""
    percent = abs(difference / Decimal(str(before))) * 100
    return " (< 1 %)" if percent < 1 else f" ({percent:,.0f} %)"


def _say_change(difference: Decimal, words: str, more_is_better: bool | None) -> None:
    if difference == 0:
        text("p", "as in the window before", "change")
        return
    is_more = difference > 0
    direction = "" if more_is_better is None else "better" if is_more == more_is_better else "worse"
    change = text("p", f"{'▲' if is_more else '▼'} {words} {'more' if is_more else 'less'}", "change")
    change.props["data-direction"] = direction
    change.props["title"] = "Compared with the window of the same length before this one"
