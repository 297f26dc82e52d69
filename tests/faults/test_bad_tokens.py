"""Whoever guesses tokens gets nowhere, is slowed down, and cannot fill the log."""

import base64
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ledger import access
from ledger.access import SYSTEM
from ledger.log.chain import now_utc
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.api.conftest import People
from tests.support.campaigns import Campaign, rounds
from tests.support.served_api import Nursery

ALLOWED_A_MINUTE = 60


@pytest.mark.soak
def test_bad_tokens_open_nothing_and_flood_nothing(
    nursery: Nursery, model_home: tuple[Path, People], campaign: Campaign, tmp_path: Path
) -> None:
    """500 bad credentials (10,000): malformed, foreign, changed by a character, expired, revoked, of someone who left.

    None is answered but with 401 or 429, all 401s have one body, 429 comes once the minute's allowance is used up, a
    good token from the same address works throughout, and the log grows by a line a minute for each reason.
    """
    home, people = model_home
    shutil.copytree(home, tmp_path / "home")
    settings = Settings(home=tmp_path / "home")
    ledger = Ledger.open(settings.ledger_address, settings)
    dead = _make_dead_tokens(ledger, people)
    with ledger.read() as session:
        before = session.scalar(select(func.count()).select_from(AuditLog)) or 0
    started = datetime.now(UTC)
    total = rounds(500, 10_000)
    statuses: list[int] = []
    bodies: set[bytes] = set()
    with nursery.serving(tmp_path / "server.log", home=settings.home) as served:
        good, bad = served.caller(people.anna.token), served.caller(None)
        for number in campaign.each(total, "bad credentials"):
            header = _spoil(campaign, people, dead)
            method, path = campaign.rng.choice(
                [
                    ("GET", "/api/v1/deals"),
                    ("GET", "/api/v1/me"),
                    ("POST", "/api/v1/deals"),
                    ("PATCH", "/api/v1/deals/x"),
                ]
            )
            if "Cookie" in header:  # a change by cookie is refused as cross-site before anybody looks at the cookie
                method = "GET"
            answer = bad.send(method, path, None if method == "GET" else {}, **header)
            assert answer.status in (401, 429), (header, answer.status, answer.content)
            statuses.append(answer.status)
            if answer.status == 401:
                bodies.add(answer.content)
            else:
                assert int(answer.headers["retry-after"]) >= 1
            if number % 20 == 0:
                assert good.send("GET", "/api/v1/me").status == 200, "someone else's guesses kept a good token out"
        good.close()
        bad.close()
        served.stop()  # what is still summed up is written now
        assert not served.printed, "a guess is no event worth a line in the server's own log"
    minutes = (datetime.now(UTC) - started) / timedelta(minutes=1)
    assert len(bodies) == 1, "the body of a 401 tells why"
    assert statuses[:ALLOWED_A_MINUTE] == [401] * ALLOWED_A_MINUTE
    assert statuses.count(401) <= ALLOWED_A_MINUTE * (1 + minutes) + 1
    with ledger.read() as session:
        after = session.scalar(select(func.count()).select_from(AuditLog)) or 0
    assert 1 <= after - before <= minutes + 2
    ledger.close()
    campaign.say(f"{statuses.count(401)} times 401, {statuses.count(429)} times 429, {after - before} entries")


def _make_dead_tokens(ledger: Ledger, people: People) -> list[str]:
    """Tokens that were good once: expired, revoked, of a user who is no longer active."""
    with ledger.write() as session:
        _, expired = access.create_token(
            session, SYSTEM, people.ben.id, name="old", expires_at=now_utc() - timedelta(seconds=1)
        )
        token, revoked = access.create_token(session, SYSTEM, people.ben.id, name="revoked")
        access.revoke_token(session, SYSTEM, token.id)
        left = access.create_user(session, SYSTEM, name="Gone Lee", role=people.manager.role)
        _, of_gone = access.create_token(session, SYSTEM, left.id, name="gone")
        access.change_user(session, SYSTEM, left.id, {"active": False})
    return [expired, revoked, of_gone]


def _spoil(campaign: Campaign, people: People, dead: list[str]) -> dict[str, str]:
    rng = campaign.rng
    good = rng.choice([people.anna.token, people.admin.token])
    place = rng.randrange(len(good))
    made_up = "dbk_" + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", k=43))
    match rng.randrange(9):
        case 0:
            token = good[:place] + chr(ord(good[place]) ^ 1) + good[place + 1 :]
        case 1:
            token = good[:place]
        case 2:
            token = made_up + access._checksum(made_up)  # well formed, checksum and all
        case 3:
            token = rng.choice(dead)
        case 4:
            token = good.swapcase()
        case 5:
            token = "' OR 1=1 --"
        case 6:
            token = "x" * rng.randrange(1, 8000)
        case 7:
            return {"Authorization": "Basic " + base64.b64encode(f"anna:{good}".encode()).decode()}
        case _:
            return {"Cookie": f"dealbook_session={rng.choice([good, made_up, ''.join(rng.choices('abc', k=43))])}"}
    return {"Authorization": f"Bearer {token}"}
