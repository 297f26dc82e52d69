"""One table and one plot of what the benches measured beside what is aimed at, from the figures they kept."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.table import Table

from orchestration.bench_models import ANEW, BY_HAND, HUNDREDTH, LAND, LAND_ON_TOP, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True)
class Aim:
    """A figure beside its aim; where `is_floor`, more is better."""

    work: str
    aim: float
    seen: float
    unit: str = "x"
    is_floor: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether what was seen is as good as what is aimed at, or better."""
        return self.seen >= self.aim if self.is_floor else self.seen <= self.aim

    @property
    def cost(self) -> float:
        """What was seen as a multiple of the aim, so that 1 is the aim and less is better."""
        return self.aim / self.seen if self.is_floor else self.seen / self.aim


def report_aims(folder: Path, console: Console) -> list[Aim]:
    """Print what the figures in `folder` say beside the aims, and keep `aims.json` and `aims.png` there."""
    aims = list(read_aims(folder))
    if not aims:
        return []
    table = Table(title="dealbook bench: figures beside aims")
    for heading in ("work", "aim", "seen", "reached"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for aim in aims:
        bound = "at least" if aim.is_floor else "at most"
        reached = "yes" if aim.is_reached else "no"
        table.add_row(aim.work, f"{bound} {_write(aim.aim)} {aim.unit}", f"{_write(aim.seen)} {aim.unit}", reached)
    console.print(table)
    (folder / "aims.json").write_text(json.dumps([asdict(aim) for aim in aims], indent=2) + "\n")
    _plot(folder / "aims.png", aims)
    console.print(f"Figures and plot: {folder / 'aims.json'}, {folder / 'aims.png'}")
    return aims


def read_aims(folder: Path) -> Iterator[Aim]:
    """Yield what the figures say that the benches left in the folder; of what was not measured there is nothing."""
    if figures := _read(folder / "refresh.json"):
        ratios = {figure["step"]: figure["ratio"] for figure in figures if figure["ratio"] is not None}
        for step, ratio in ratios.items():
            aim = {"refresh, 0 new deals": 0.3, "refresh, 1 new deals": 1.7}.get(step, 0.3 if "warm" in step else None)
            if aim:
                yield Aim(f"{step} / dbt build", aim, ratio)
    if figures := _read(folder / "ledger.json"):
        yield Aim("log to raw", 300_000, figures["landed_per_second"], "entries/s", is_floor=True)
        yield Aim("an agent's day by a loop / by the models, work alone", 1_000, figures["work_ratio"], is_floor=True)
        yield Aim("the same with 1,000 deals an agent", 1_000, figures["dense_ratio"], is_floor=True)
        yield Aim("90 days by a loop / a dbt build, whole commands", 1_000, figures["command_ratio"], is_floor=True)
    if figures := _read(folder / "models.json"):
        yield from _read_models(figures)
    if figures := _read(folder / "http.json"):
        yield Aim("summary / constant, throughput", 0.6, figures["ratio"], is_floor=True)
    if figures := _read(folder / "moves.json"):
        yield Aim("stage moves / bare commits", 0.6, figures["ratio"], is_floor=True)


def _read_models(figures: list[dict[str, Any]]) -> Iterator[Aim]:
    sizes = sorted({figure["deals"] for figure in figures})
    cpu = {(figure["way"], figure["deals"]): figure["cpu_seconds"] for figure in figures}
    entries = {figure["deals"]: figure["entries"] for figure in figures}
    whole = {deals: sum(cpu[way, deals] for way in WHOLE) for deals in sizes}
    after = sum(cpu[way, sizes[-1]] for way in HUNDREDTH)
    named = f"{entries[sizes[-1]]:,} entries"
    yield Aim(
        f"full build by dbt / SQL tuned by hand, {named}",
        1.5,
        cpu[ANEW, sizes[-1]] / cpu[BY_HAND, sizes[-1]],
    )
    landing, landing_after = cpu[LAND, sizes[-1]], cpu[LAND_ON_TOP, sizes[-1]]
    yield Aim(f"refresh after a hundredth of new days / full refresh, {named}", 0.15, after / whole[sizes[-1]])
    without = (after - landing_after) / (whole[sizes[-1]] - landing)
    yield Aim(f"the same without log to raw, {named}", 0.15, without)
    for small, large in pairwise(sizes):
        growth = math.log(whole[large] / whole[small]) / math.log(entries[large] / entries[small])
        yield Aim(f"growth from {entries[small]:,} to {entries[large]:,} entries", 1.1, growth, "power")
    yield Aim(f"peak memory, {named}", 4_000, max(figure["peak_mb"] for figure in figures), "MB")


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.exists() else None


def _write(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"


def _plot(path: Path, aims: list[Aim]) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9, 0.45 * len(aims) + 1.2), layout="constrained")
    axes = canvas.subplots()
    colours = ["#2463a8" if aim.is_reached else "#c0504d" for aim in aims]
    axes.barh([aim.work for aim in aims], [aim.cost for aim in aims], color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="seen, as a multiple of the aim (left of the line: reached)")
    axes.invert_yaxis()
    canvas.savefig(path, dpi=120)
