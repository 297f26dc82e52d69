"""ECharts options of the workspace's charts.

Charts are drawn as SVG with the style sheet's own colours (`var(--…)`), so that they follow light and dark without
being drawn again. Figures become floats here and only here: a chart's pixels need no cents.
"""

from collections.abc import Sequence
from typing import Any

from api.figures import Snapshot

# ECharts measures text with a canvas, which knows no `inherit`.
_FONT = "ui-sans-serif, -apple-system, Segoe UI, Helvetica Neue, Noto Sans, Liberation Sans, Arial, sans-serif"
_INK = "var(--ink-3)"
_LINE = "var(--line)"
_WRITE_WHOLE = "value => value.toLocaleString('en-US')"
_WRITE_SHORT = "value => Intl.NumberFormat('en-US', {notation: 'compact', maximumFractionDigits: 1}).format(value)"


def draw_trend(series: Sequence[Snapshot], currency: str) -> dict[str, Any]:
    """Return the options of the trend: weighted pipeline as an area, deals won so far as a line, by day."""
    days = [snapshot.snapshot_date.isoformat() for snapshot in series]
    return {
        "animation": False,
        "aria": {"enabled": True},
        "textStyle": {"fontFamily": _FONT, "color": _INK},
        "grid": {"left": 64, "right": 52, "top": 44, "bottom": 28},
        "legend": {
            "top": 0,
            "left": 0,
            "itemWidth": 14,
            "itemHeight": 8,
            "itemGap": 24,
            "icon": "roundRect",
            "textStyle": {"color": "var(--ink-2)", "fontSize": 12},
            "inactiveColor": _LINE,
            "selectedMode": True,
        },
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "backgroundColor": "var(--surface)",
            "borderColor": "var(--line-strong)",
            "textStyle": {"color": "var(--ink)", "fontSize": 12.5},
            "axisPointer": {"lineStyle": {"color": "var(--line-strong)"}},
        },
        "xAxis": {
            "type": "time",
            "axisLine": {"lineStyle": {"color": "var(--line-strong)"}},
            "axisTick": {"show": False},
            "axisLabel": {"color": _INK, "fontSize": 11.5, "hideOverlap": True},
            "splitLine": {"show": False},
        },
        "yAxis": [
            _axis(f"Weighted pipeline, {currency}", "left", is_whole=False),
            _axis("Won", "right", is_whole=True),
        ],
        "series": [
            {
                "name": f"Weighted pipeline, {currency}",
                "type": "line",
                "showSymbol": False,
                "step": "end",
                "lineStyle": {"width": 1.5, "color": "var(--accent)"},
                "itemStyle": {"color": "var(--accent)"},
                "areaStyle": {"color": "var(--accent)", "opacity": 0.12},
                "emphasis": {"disabled": True},
                "data": [
                    [day, float(snapshot.weighted_pipeline_value)] for day, snapshot in zip(days, series, strict=True)
                ],
                "tooltip": {":valueFormatter": "value => Math.round(value).toLocaleString('en-US')"},
            },
            {
                "name": "Deals won so far",
                "type": "line",
                "yAxisIndex": 1,
                "showSymbol": False,
                "step": "end",
                "lineStyle": {"width": 2, "color": "var(--won)", "type": [6, 3]},
                "itemStyle": {"color": "var(--won)"},
                "emphasis": {"disabled": True},
                "data": [[day, snapshot.deals_closed_won] for day, snapshot in zip(days, series, strict=True)],
            },
        ],
    }


def _axis(name: str, position: str, *, is_whole: bool) -> dict[str, Any]:
    return {
        "type": "value",
        "position": position,
        "name": "",
        "scale": is_whole,
        "minInterval": 1,
        "splitNumber": 4,
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {
            "color": _INK,
            "fontSize": 11.5,
            ":formatter": _WRITE_WHOLE if is_whole else _WRITE_SHORT,
        },
        "splitLine": {"show": position == "left", "lineStyle": {"color": _LINE}},
        "alignTicks": position == "right",
        "ariaLabel": name,
    }
