"""What tests of every part share."""

import pytest

from tests.support.campaigns import Campaign, choose_seed


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """The random numbers of a test marked `soak`; the seed is printed, and `DEALBOOK_SEED` replays it."""
    assert request.node.get_closest_marker("soak"), "a campaign carries the marker `soak`, so that `make soak` runs it"
    return Campaign(request.node.nodeid, choose_seed())
