"""The real API in a process of its own that can be killed and is back within a fraction of a second.

    test process ── socket ──► nursery: has imported everything, serves nothing
                                  └── fork ──► uvicorn with the real app, on a listening socket that outlives it

A killed server loses nothing that a killed `dealbook serve` would keep: each child opens the ledger anew. While no
server runs, connections wait in the socket's backlog, as they would behind a supervisor that holds it.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
DIE_HEADER = "X-Test-Die-Before-Reply"
"""A request that carries it kills its server after the commit, before the first byte of the answer."""


NO_PAGE_LIMIT = 2**30

KEPT_ALIVE_SECONDS = 2.0
"""A client opens a new connection after so long without a request; the server's own limit is five."""


class ConnectionLost(Exception):  # noqa: N818 - a fact
    """The request got no answer: whether it took effect is not known."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Caller:
    """One client with one connection, kept open as long as the server lives; for use by one thread."""

    def __init__(self, port: int, token: str | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._token = token
        self._used_at = 0.0

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request, once; raise `ConnectionLost` when no whole answer comes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token is not None:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        if time.monotonic() - self._used_at > KEPT_ALIVE_SECONDS:
            self._connection.close()  # the server closes what is idle, perhaps just now
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, content, sent)
            response = self._connection.getresponse()
            found = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ConnectionLost(f"{method} {path}: {error!r}") from error
        self._used_at = time.monotonic()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, found)

    def close(self) -> None:
        self._connection.close()


class ServedApi:
    """An address with, most of the time, a server behind it."""

    def __init__(
        self, nursery: "Nursery", port: int, settings: dict[str, Any], log: Path, page_limit: Path | None
    ) -> None:
        self._nursery = nursery
        self._page_limit = page_limit
        self._settings = settings
        self.port = port
        self.log = log
        self.pid = 0

    def start(self) -> None:
        """Fork a server; it answers in a moment, and connections wait until then."""
        request = {"do": "serve", "port": self.port, "settings": self._settings, "log": str(self.log)}
        if self._page_limit is not None:
            request["page_limit"] = str(self._page_limit)
        self.pid = self._nursery.ask(request)["pid"]

    def kill(self) -> None:
        """SIGKILL the server and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Stop the server as a service manager does, and return its exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until the server is gone and return its status (minus the signal that killed it)."""
        pid, self.pid = self.pid, 0
        return int(self._nursery.ask({"do": "wait", "pid": pid})["status"])

    def caller(self, token: str | None) -> Caller:
        """Return a client of this address."""
        return Caller(self.port, token)

    @property
    def printed(self) -> str:
        """What its servers have printed: warnings and errors alone."""
        return self.log.read_text() if self.log.exists() else ""


class Nursery:
    """The process that servers are forked from; `within` is a command that runs it in surroundings of its own."""

    def __init__(self, within: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd=ROOT
        )
        theirs.close()
        self._stream = ours.makefile("rw", encoding="utf-8")
        ours.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        line = self._stream.readline()
        assert line, "the nursery has died"
        answer: dict[str, Any] = json.loads(line)
        return answer

    @contextlib.contextmanager
    def serving(self, log: Path, page_limit: Path | None = None, **settings: Any) -> Iterator[ServedApi]:
        """Serve the API under these settings until the context ends.

        While the file `page_limit` is there, SQLite lets the server's database have no more pages than it has.
        """
        port = self.ask({"do": "listen"})["port"]
        known = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
        served = ServedApi(self, port, known, log, page_limit)
        served.start()
        try:
            yield served
        finally:
            if served.pid:
                served.kill()
            self.ask({"do": "close", "port": port})

    def close(self) -> None:
        self._stream.close()
        self._process.wait(60)


def _run_nursery(channel: socket.socket) -> None:
    import uvicorn.lifespan.on
    import uvicorn.loops.auto
    import uvicorn.protocols.http.auto  # noqa: F401 - imported once, here, and not in every server

    import api.main  # noqa: F401

    stream = channel.makefile("rw", encoding="utf-8")
    listeners: dict[int, socket.socket] = {}
    for line in stream:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        match request["do"]:
            case "listen":
                listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
                answer["port"] = listener.getsockname()[1]
                listeners[answer["port"]] = listener
            case "serve":
                answer["pid"] = os.fork()
                if not answer["pid"]:
                    channel.close()
                    _serve(listeners[request["port"]], request)
            case "wait":
                answer["status"] = os.waitstatus_to_exitcode(os.waitpid(request["pid"], 0)[1])
            case "close":
                listeners.pop(request["port"]).close()
        stream.write(json.dumps(answer) + "\n")
        stream.flush()


def _serve(listener: socket.socket, request: dict[str, Any]) -> None:
    """Serve until killed; never returns. The settings of the server are those of `dealbook serve`."""
    import uvicorn

    from api.main import create_app
    from ledger.settings import Settings

    try:
        with Path(request["log"]).open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        app = create_app(Settings(**request["settings"]), with_workspace=False)
        if "page_limit" in request:
            _limit_pages(app.state.service.ledger.writer, Path(request["page_limit"]))
        config = uvicorn.Config(
            _dying_on_request(app), log_level="warning", timeout_graceful_shutdown=5, server_header=False
        )
        uvicorn.Server(config).run(sockets=[listener])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _limit_pages(engine: Any, limit: Path) -> None:
    """Have each transaction ask whether more pages may be taken; where not, SQLite itself says that it is full.

    One look, whether the file is there: while it is written or removed, nothing can be read of it that was not meant.
    """
    from sqlalchemy import event

    def ask(connection: Any) -> None:
        pages = 1 if limit.exists() else NO_PAGE_LIMIT  # SQLite takes no limit below what is there
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", ask)


def _dying_on_request(app: Any) -> Any:
    header = DIE_HEADER.lower().encode()

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def die(_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        is_last = any(name == header for name, _ in scope.get("headers", ()))
        await app(scope, receive, die if is_last else send)

    return wrapped


def wait_until(condition: Any, what: str, seconds: float = 60) -> None:
    """Wait until `condition()` holds; fail with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


if __name__ == "__main__":
    _run_nursery(socket.socket(fileno=int(sys.argv[1])))
