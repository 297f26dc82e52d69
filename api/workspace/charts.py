"""How all charts look: ECharts options in the style sheet's own colours, type and lines.

Charts are drawn as SVG with `var(--…)` colours, so that they follow light and dark without being drawn again. Nothing
moves, and nothing that matters is told by colour or pointer alone. Figures become floats here and only here: a chart's
pixels need no cents.
"""

from decimal import Decimal
from typing import Any

# ECharts measures text with a canvas, which knows no `inherit`.
_FONT = "ui-sans-serif, -apple-system, Segoe UI, Helvetica Neue, Noto Sans, Liberation Sans, Arial, sans-serif"
INK, FAINT, LINE = "var(--ink-2)", "var(--ink-3)", "var(--line)"
WRITE_WHOLE = "value => value.toLocaleString('en-US')"
WRITE_SHORT = "value => Intl.NumberFormat('en-US', {notation: 'compact', maximumFractionDigits: 1}).format(value)"
WRITE_PERCENT = "value => value + ' %'"


def begin(*, tooltip: str = "axis") -> dict[str, Any]:
    """Return the options that all charts share; `tooltip` says what the pointer asks about: axis or item."""
    return {
        "animation": False,
        "textStyle": {"fontFamily": _FONT, "color": FAINT},
        "tooltip": {
            "trigger": tooltip,
            "confine": True,
            "backgroundColor": "var(--surface)",
            "borderColor": "var(--line-strong)",
            "textStyle": {"color": "var(--ink)", "fontSize": 12.5},
            "axisPointer": {"type": "line", "lineStyle": {"color": "var(--line-strong)"}},
        },
    }


def legend(**more: Any) -> dict[str, Any]:
    """Return a legend at the top left."""
    return {
        "top": 0,
        "left": 0,
        "itemWidth": 14,
        "itemHeight": 8,
        "itemGap": 18,
        "icon": "roundRect",
        "textStyle": {"color": INK, "fontSize": 12},
        "inactiveColor": LINE,
        **more,
    }


def value_axis(write: str = WRITE_SHORT, **more: Any) -> dict[str, Any]:
    """Return an axis of figures, with quiet grid lines."""
    return {
        "type": "value",
        "splitNumber": 4,
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {"color": FAINT, "fontSize": 11.5, "hideOverlap": True, ":formatter": write},
        "splitLine": {"lineStyle": {"color": LINE}},
        "nameTextStyle": {"color": FAINT, "fontSize": 11.5},
        **more,
    }


def name_axis(names: list[str], **more: Any) -> dict[str, Any]:
    """Return an axis of names from top to bottom."""
    return {
        "type": "category",
        "data": names,
        "inverse": True,
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {"color": INK, "fontSize": 12, "interval": 0, "lineHeight": 15},
        **more,
    }


def short_names(width: int) -> dict[str, Any]:
    """Return how the names of an axis are written when they may be long: cut off at `width` pixels."""
    return {"color": INK, "fontSize": 12, "interval": 0, "width": width, "overflow": "truncate"}


def heading() -> dict[str, Any]:
    """Return how a part of a chart is titled."""
    return {"color": "var(--ink)", "fontSize": 12.5, "fontWeight": 600}


def time_axis(**more: Any) -> dict[str, Any]:
    """Return an axis of days."""
    return {
        "type": "time",
        "axisLine": {"lineStyle": {"color": "var(--line-strong)"}},
        "axisTick": {"show": False},
        "axisLabel": {"color": FAINT, "fontSize": 11.5, "hideOverlap": True},
        "splitLine": {"show": False},
        **more,
    }


def bars(name: str, color: str, data: list[Any], **more: Any) -> dict[str, Any]:
    """Return a series of horizontal bars."""
    return {
        "name": name,
        "type": "bar",
        "barMaxWidth": 18,
        "itemStyle": {"color": color},
        "emphasis": {"disabled": True},
        "data": data,
        **more,
    }


def label(**more: Any) -> dict[str, Any]:
    """Return a figure written beside its mark."""
    return {"show": True, "color": INK, "fontSize": 12, **more}


def plot(value: Decimal | float | None) -> float | None:
    """Return a figure as a chart takes it."""
    return None if value is None else float(value)


def percent(value: Decimal | float | None) -> float | None:
    """Return a share of one as the percentage a chart shows."""
    return None if value is None else round(float(value) * 100, 2)
