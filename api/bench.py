"""Summaries read over HTTP, beside the same route answering a constant: what the numbers themselves cost.

Both are served by a process of their own, with log-in, rate limits and all; one answers from the published file, the
other what the first one answered, kept as bytes. They are asked in turns, so that what else the machine does falls on
both.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ledger.settings import PROJECT_DIR, Settings

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY = "/api/v1/performance/summary"
CLIENTS, ROUNDS, ROUND_SECONDS = 2, 5, 2.0


@dataclass(frozen=True)
class HttpFigures:
    """Answers a second (median of the rounds), and milliseconds of a summary that nobody has asked for before."""

    summaries: float
    constants: float
    first_ms: float

    @property
    def ratio(self) -> float:
        """Throughput of summaries in that of a constant."""
        return self.summaries / self.constants


def run_http_bench(home: Path, target: Path, console: "Console") -> HttpFigures:
    """Measure a home with published numbers; print a line and leave the figures in `target/http.json`."""
    token, agents = _prepare(Settings(home=home))
    addresses = [f"{SUMMARY}?agent_id={agent}&period={period}" for agent in agents for period in ("30d", "365d", "ytd")]
    console.print("summaries over HTTP, beside the same route answering a constant ...")
    with ExitStack() as stack:
        ports = [stack.enter_context(_served(home, what)) for what in ("summary", "constant")]
        firsts = [_time_one(ports[0], address, token) for address in addresses]
        for address in addresses:
            _time_one(ports[1], address, token)
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for port, found in zip(ports, rates, strict=True):
                found.append(_ask_for_a_while(port, addresses, token))
    figures = HttpFigures(median(rates[0]), median(rates[1]), 1000 * median(firsts))
    console.print(
        f"summary: {figures.summaries:,.0f} answers a second, a constant: {figures.constants:,.0f};"
        f" ratio {figures.ratio:.2f}. Asked for the first time: {figures.first_ms:.0f} ms."
    )
    target.mkdir(parents=True, exist_ok=True)
    (target / "http.json").write_text(json.dumps({**asdict(figures), "ratio": figures.ratio}, indent=2) + "\n")
    return figures


def _prepare(settings: Settings) -> tuple[str, list[str]]:
    """Return a manager's token and the agents with numbers."""
    from api import summaries
    from api.published import PublishedMarts
    from ledger import access
    from ledger.store import Ledger
    from ledger.vocabulary import Role

    ledger = Ledger.open(settings=settings)
    try:
        with ledger.write() as session:
            email = f"bench-{time.time_ns()}@example.com"
            user = access.create_user(session, access.SYSTEM, name="Bench", email=email, role=Role.MANAGER)
            _, token = access.create_token(session, access.SYSTEM, user.id, name="bench")
    finally:
        ledger.close()
    marts = PublishedMarts(settings.published_dir)
    with marts.read() as view:
        agents = [agent.agent_id for agent in summaries.list_agents(view)]
    marts.close()
    return token, agents


@contextmanager
def _served(home: Path, what: str) -> Iterator[int]:
    """Serve one of the two in a process of its own; yields its port."""
    command = [sys.executable, "-W", "ignore", "-m", "api.bench", str(home), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR) as child:  # noqa: S603 - ours
        try:
            line = child.stdout.readline() if child.stdout else ""
            if not line:
                raise RuntimeError("The server to be measured did not start; its error is above.")
            yield int(line)
        finally:
            child.terminate()


def _ask(connection: http.client.HTTPConnection, address: str, token: str) -> None:
    connection.request("GET", address, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{address} answered {response.status}: {body[:300]!r}")


def _time_one(port: int, address: str, token: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.monotonic()
    _ask(connection, address, token)
    connection.close()
    return time.monotonic() - started


def _ask_for_a_while(port: int, addresses: list[str], token: str) -> float:
    """Return answers a second of some clients, each on one connection."""
    counts: list[int] = []
    ends = time.monotonic() + ROUND_SECONDS

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        number = first
        while time.monotonic() < ends:
            _ask(connection, addresses[number % len(addresses)], token)
            number += 1
        connection.close()
        counts.append(number - first)

    threads = [threading.Thread(target=ask, args=(7 * number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / ROUND_SECONDS


def _serve(home: Path, what: str) -> None:
    """Serve the product's app, or the same app whose summary is a constant, until told to stop."""
    import socket

    import uvicorn
    from fastapi import Response

    from api.dependencies import ReadingActor, ServiceDep
    from api.figures import Period
    from api.main import create_app
    from api.routes import performance

    # The bench asks faster than a token may.
    settings = Settings(home=home, rate_limit_per_token=0, rate_limit_per_address=0)
    app = create_app(settings, with_workspace=False)
    if what == "constant":
        kept: dict[str, bytes] = {}

        def constant(actor: ReadingActor, service: ServiceDep, agent_id: str, period: str) -> Response:
            key = f"{agent_id} {period}"
            if key not in kept:
                with service.marts.read() as marts:
                    answer = performance.read_summary(marts, actor, service, agent_id, Period(period))
                kept[key] = bytes(answer.body)
            return Response(kept[key], media_type="application/json")

        app.add_api_route(SUMMARY, constant, methods=["GET"])
        app.router.routes.insert(0, app.router.routes.pop())
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - for the process that measures
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
