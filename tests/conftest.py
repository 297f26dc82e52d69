"""What tests of every part share."""

from collections.abc import Iterator

import pytest

from tests.support.campaigns import Campaign, choose_seed
from tests.support.postgresql import Server, run_server
from tests.support.stores import POSTGRESQL, PostgresqlStore, SqliteStore, Store, stores_for


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a `store` on each store that is tested."""
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", stores_for(metafunc.definition), indirect=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server of this test process, started when first asked for."""
    with run_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_store(postgresql_server: Server) -> Iterator[PostgresqlStore]:
    """Its one database for tests."""
    store = PostgresqlStore(postgresql_server)
    yield store
    store.close()


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """The store that the test's ledger is kept in; a test that asks for it, or for what needs it, runs on each."""
    if request.param == POSTGRESQL:
        found: PostgresqlStore = request.getfixturevalue("postgresql_store")
        return found
    return SqliteStore()


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """The random numbers of a test marked `soak`; the seed is printed, and `DEALBOOK_SEED` replays it."""
    assert request.node.get_closest_marker("soak"), "a campaign carries the marker `soak`, so that `make soak` runs it"
    return Campaign(request.node.nodeid, choose_seed())
