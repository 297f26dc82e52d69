"""The table of aims says what the benches' figures say, and of what was not measured nothing."""

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from orchestration.bench_aims import report_aims
from orchestration.bench_models import WAYS


def _write(folder: Path, name: str, document: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(document))


def test_each_figure_stands_beside_its_aim(tmp_path: Path) -> None:
    """Floors and ceilings are told apart, and a growth is the power between two sizes."""
    folder = tmp_path / "bench"
    assert report_aims(folder, Console(file=StringIO())) == []
    steps = [("refresh, 0 new deals", 0.25), ("refresh, 1 new deals", 1.8), ("refresh, 5,000 new deals", 2.0)]
    _write(folder, "refresh.json", [{"step": step, "ratio": ratio} for step, ratio in steps])
    _write(
        folder,
        "ledger.json",
        {"landed_per_second": 80_000, "work_ratio": 2_000.0, "dense_ratio": 900.0, "command_ratio": 7.0},
    )
    figures = [
        {"way": way, "deals": deals, "entries": deals * 8, "cpu_seconds": deals / 10, "peak_mb": 100}
        for deals in (10, 100)
        for way in WAYS
    ]
    _write(folder, "models.json", figures)
    said = StringIO()
    aims = {aim.work: aim for aim in report_aims(folder, Console(file=said, width=200))}
    assert aims["refresh, 0 new deals / dbt build"].is_reached
    assert not aims["refresh, 1 new deals / dbt build"].is_reached
    assert not aims["log to raw"].is_reached
    assert aims["an agent's day by a loop / by the models, work alone"].is_reached
    assert not aims["the same with 1,000 deals an agent"].is_reached
    assert not aims["90 days by a loop / a dbt build, whole commands"].is_reached
    assert aims["growth from 80 to 800 entries"].seen == 1
    hundredth = aims["refresh after a hundredth of new days / full refresh, 800 entries"]
    assert round(hundredth.seen, 3) == 0.75  # 30 of 40
    assert round(aims["the same without log to raw, 800 entries"].seen, 3) == 0.667  # 20 of 30
    assert aims["peak memory, 800 entries"].is_reached
    assert len(aims) == 11
    assert "at least 300,000 entries/s" in said.getvalue()
    assert {path.name for path in folder.glob("aims.*")} == {"aims.json", "aims.png"}
