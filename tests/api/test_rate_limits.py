"""Who asks too much is told when to come back; who guesses is slowed down sooner; nobody else is locked out by it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.rate_limits import MOST_KEYS, Buckets, address_of
from ledger.settings import Settings
from tests.api.conftest import Client, People, problem_of

Open = Callable[..., TestClient]


@pytest.fixture
def opened(settings: Settings) -> Iterator[Open]:
    """Open an app with these limits."""
    with ExitStack() as stack:

        def open_app(**limits: int) -> TestClient:
            app = create_app(settings.model_copy(update=limits), with_workspace=False)
            made: AbstractContextManager[TestClient] = Client(app, raise_server_exceptions=False)
            return stack.enter_context(made)

        yield open_app


def bad(number: int) -> dict[str, str]:
    return {"Authorization": f"Bearer dbk_wrong{number}"}


def test_each_token_has_its_own_allowance(opened: Open, people: People) -> None:
    """The sixth request of five a minute is 429 with Retry-After; another person's token still works."""
    client = opened(rate_limit_per_token=5)
    answers = [client.get("/api/v1/me", headers=people.anna.auth) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert problem_of(answers[-1]) == "too-many-requests"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert client.get("/api/v1/me", headers=people.ben.auth).status_code == 200


def test_an_address_has_one_allowance_for_all_its_requests(opened: Open, people: People) -> None:
    """Whatever they carry; being alive is always answered."""
    client = opened(rate_limit_per_address=3)
    statuses = [client.get("/api/v1/me", headers=who).status_code for who in (people.anna.auth, {}, bad(1), bad(2))]
    assert statuses == [200, 401, 401, 429]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_bad_tokens_are_limited_harder_and_lock_nobody_out(opened: Open, people: People, method: str) -> None:
    """500 guesses: none gets in, all but the first ten are 429; a good token from the same address works throughout."""
    client = opened(rate_limit_bad_tokens=10)
    path = "/api/v1/deals"
    statuses = [client.request(method, path, headers=bad(number)).status_code for number in range(500)]
    assert set(statuses[:10]) == {401}
    assert statuses.count(401) <= 12, "the allowance refills by one in six seconds"
    assert set(statuses) == {401, 429}
    assert client.get(path, headers=people.anna.auth).status_code == 200
    assert client.get(path).status_code == 401, "who sends nothing guesses nothing"


def test_bad_log_in_links_are_limited_too(opened: Open) -> None:
    """They are guesses as well."""
    client = opened(rate_limit_bad_tokens=3)
    statuses = [client.get("/login", params={"link": f"guess{number}"}).status_code for number in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_zero_means_no_limit(opened: Open) -> None:
    """For whoever limits elsewhere."""
    client = opened(rate_limit_bad_tokens=0, rate_limit_per_token=0, rate_limit_per_address=0)
    assert {client.get("/api/v1/me", headers=bad(number)).status_code for number in range(100)} == {401}


def test_a_bucket_refills_through_the_minute_and_says_how_long() -> None:
    """Sixty a minute is one a second, and never more than a minute's worth at once."""
    now = 1000.0
    buckets = Buckets(60, lambda: now)
    assert [buckets.take("a") for _ in range(60)] == [0.0] * 60
    assert buckets.take("a") == pytest.approx(1.0)
    assert buckets.take("b") == 0.0
    now += 0.5
    assert buckets.take("a") == pytest.approx(0.5)
    now += 0.5
    assert buckets.take("a") == 0.0
    now += 3600
    assert [buckets.take("a") for _ in range(61)][59:] == [0.0, pytest.approx(1.0)]


def test_buckets_of_many_strangers_do_not_fill_the_memory() -> None:
    """The longest unused are forgotten; who is being limited is in use and is not."""
    buckets = Buckets(1, lambda: 0.0)
    buckets.take("busy")
    for number in range(2 * MOST_KEYS):
        buckets.take(f"stranger {number}")
        assert buckets.take("busy") > 0
    assert len(buckets._levels) == MOST_KEYS


def test_an_ipv6_network_counts_as_one_address() -> None:
    """A provider gives a customer 2^64 of them."""
    told = {address_of({"client": (host, 1)}) for host in ("2001:db8::1", "2001:db8::ffff:2")}
    assert told == {"2001:db8::/64"}
    assert address_of({"client": ("::ffff:192.0.2.7", 1)}) == "192.0.2.7"
    assert address_of({"client": ("192.0.2.7", 1)}) == "192.0.2.7"
    assert address_of({}) == "unknown"
