"""Stage moves over HTTP measured beside their yardstick: the same route shape with a bare one-row commit behind it.

Both are served by uvicorn as a process of their own, are asked by the same clients in turns within one run, and commit
to SQLite at `synchronous = FULL`. The yardstick checks no rights, keeps no log and no history: what is between the two
is what an audited move costs.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from rich.table import Table

from ledger.settings import PROJECT_DIR, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

CONNECTIONS = 8
DEALS = 400
WARM_UP = 10
STAGES = ("qualification", "needs_analysis", "proposal", "negotiation")


@dataclass(frozen=True)
class Round:
    """What one service did in one round: moves a second, and latencies in milliseconds."""

    service: str
    per_second: float
    p50_ms: float
    p95_ms: float
    server_cpu_ms: float


def run_bench_moves(settings: Settings, console: Console, *, rounds: int, moves: int) -> list[Round]:
    """Measure `rounds` rounds of `moves` moves by each of eight connections, dealbook and yardstick in turns.

    Prints the table; its figures and a plot go to `settings.home/bench/`.
    """
    found: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder, contextlib.ExitStack() as stack:
        home = Path(folder) / "home"
        token, deals = _make_office(home)
        environment = {**os.environ, "DEALBOOK_HOME": str(home), "DEALBOOK_PORT": "0", "NO_COLOR": "1"}
        environment |= {"DEALBOOK_RATE_LIMIT_PER_TOKEN": "0", "DEALBOOK_RATE_LIMIT_PER_ADDRESS": "0"}
        ours = [sys.executable, "-u", "-m", "dealbook", "serve"]
        bare = [sys.executable, "-u", "-m", "orchestration.one_row_service", str(Path(folder) / "bare.sqlite3")]
        services = {
            name: stack.enter_context(serving(command, environment, Path(folder) / f"{name}.log"))
            for name, command in (("yardstick", bare), ("dealbook", ours))
        }
        for name, service in services.items():
            _drive(name, service, token, deals, WARM_UP)
        for number in range(1, rounds + 1):
            for name, service in services.items():
                console.print(f"{name}, round {number} of {rounds} ...")
                found.append(_drive(name, service, token, deals, moves))
    _report(settings, console, found)
    return found


def _make_office(home: Path) -> tuple[str, list[str]]:
    """Make a ledger with a manager and open deals; return the manager's token and the deals."""
    from ledger import access, deals
    from ledger.access import SYSTEM
    from ledger.deals import NewDeal
    from ledger.store import initialise
    from ledger.vocabulary import AssetType, DealType, Role

    ledger = initialise(Settings(home=home))
    with ledger.write() as session:
        manager = access.create_user(session, SYSTEM, name="Mira Goh", role=Role.MANAGER)
        _, token = access.create_token(session, SYSTEM, manager.id, name="bench")
        new = NewDeal(agent_id=manager.id, title="Tower", asset_type=AssetType.OFFICE, deal_type=DealType.LEASE)
        opened = [deals.open_deal(session, SYSTEM, new).id for _ in range(DEALS)]
    ledger.close()
    return token, opened


@dataclass(frozen=True)
class Service:
    """A service under measurement: its port and process, and how often each deal was moved there."""

    port: int
    pid: int
    moved: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def serving(command: list[str], environment: dict[str, str], log: Path) -> Iterator[Service]:
    """Run a service until the context ends; it prints the address that it serves on."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=PROJECT_DIR)  # noqa: S603 (our own)
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not begin to serve:\n{log.read_text()[-4000:]}")
            time.sleep(0.05)
        yield Service(int(found[1]), process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _drive(name: str, service: Service, token: str, deals: list[str], moves: int) -> Round:
    """Send `moves` moves over each of the connections at once and return what was measured."""
    latencies: list[float] = []
    failures: list[str] = []
    barrier = threading.Barrier(CONNECTIONS + 1)

    def send(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "If-Match": "*"}
        mine, own = deals[index::CONNECTIONS], []
        barrier.wait()
        for move in range(moves):
            # Every deal is moved about equally often, always to another stage than before.
            deal = mine[move % len(mine)]
            stage = STAGES[service.moved[deal] % len(STAGES)]
            service.moved[deal] += 1
            started = time.perf_counter()
            connection.request("POST", f"/api/v1/deals/{deal}/stage", json.dumps({"to_stage": stage}), headers)
            answer = connection.getresponse()
            content = answer.read()
            own.append((time.perf_counter() - started) * 1000)
            if answer.status != 200:
                failures.append(f"{answer.status} {content[:300]!r}")
                break
        connection.close()
        latencies.extend(own)

    threads = [threading.Thread(target=send, args=(index,)) for index in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    cpu, started = _cpu_seconds(service.pid), time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"{name} answered {failures[0]}")
    cuts = quantiles(latencies, n=20)
    spent = (_cpu_seconds(service.pid) - cpu) * 1000 / len(latencies)
    return Round(name, len(latencies) / seconds, cuts[9], cuts[18], spent)


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _report(settings: Settings, console: Console, found: list[Round]) -> None:
    """Print the table and keep figures and plot under `settings.home/bench/`."""
    ours, bare = ([entry for entry in found if entry.service == name] for name in ("dealbook", "yardstick"))
    ratio = median(mine.per_second / beside.per_second for mine, beside in zip(ours, bare, strict=True))
    title = f"stage moves over HTTP, {CONNECTIONS} connections, {datetime.now(settings.time_zone):%Y-%m-%d %H:%M}"
    table = Table(title=f"{title}, {os.cpu_count()} cores")
    for heading in ("service", "moves/s", "p50 ms", "p95 ms", "server CPU ms", "x yardstick"):
        table.add_column(heading, justify="left" if heading == "service" else "right")
    for name, entries, beside in (("dealbook", ours, f"{ratio:.2f}"), ("one-row commit", bare, "1")):
        figures = [
            median(getattr(entry, what) for entry in entries)
            for what in ("per_second", "p50_ms", "p95_ms", "server_cpu_ms")
        ]
        table.add_row(name, f"{figures[0]:,.0f}", *(f"{figure:.1f}" for figure in figures[1:]), beside)
    console.print(table)
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    document = {"at": datetime.now(UTC).isoformat(), "ratio": ratio, "rounds": [asdict(entry) for entry in found]}
    (target / "moves.json").write_text(json.dumps(document, indent=2) + "\n")
    _plot(ours, bare, ratio, target / "moves.png")
    console.print(f"Figures: {target / 'moves.json'}, plot: {target / 'moves.png'}")


def _plot(ours: list[Round], bare: list[Round], ratio: float, path: Path) -> None:
    """Draw each round's throughput, the two side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    places = range(1, len(ours) + 1)
    axes.bar(
        [place - 0.2 for place in places], [e.per_second for e in bare], 0.4, label="one-row commit", color="#b8c2cc"
    )
    axes.bar([place + 0.2 for place in places], [e.per_second for e in ours], 0.4, label="dealbook", color="#2463a8")
    axes.set(xlabel="round", ylabel="moves a second", title=f"Audited stage moves: {ratio:.2f} of a bare commit")
    axes.set_xticks(list(places))
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
