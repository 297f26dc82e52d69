"""The team's table: each agent's share of a window, taken from two days' snapshots."""

from dataclasses import replace
from decimal import Decimal

from api.figures import Snapshot
from api.published import PublishedMarts
from api.summaries import list_day
from api.workspace.leaderboard import compare_team
from ledger.settings import Settings
from tests.support.published_file import ANNA, AS_OF, publish_sample


def read_anna(settings: Settings) -> Snapshot:
    publish_sample(settings.published_dir)
    marts = PublishedMarts(settings.published_dir)
    with marts.read() as view:
        found = next(row for row in list_day(view, AS_OF) if row.agent_id == ANNA)
    marts.close()
    return found


def test_a_window_is_the_difference_of_two_days(settings: Settings) -> None:
    """Won, closed, value and commission are subtracted; open deals and pipeline are those of the last day."""
    end = read_anna(settings)
    start = replace(
        end,
        conversion_numerator=end.conversion_numerator - 2,
        conversion_denominator=end.conversion_denominator - 3,
        won_value=end.won_value - Decimal("2000.00"),
        confirmed_commission_amount=end.confirmed_commission_amount - Decimal("40.00"),
        deals_open=99,
    )
    (row,) = compare_team([end], [start])
    assert (row.won, row.closed, row.won_value, row.confirmed) == (2, 3, Decimal("2000.00"), Decimal("40.00"))
    assert row.win_rate == 2 / 3
    assert (row.open_deals, row.weighted) == (end.deals_open, end.weighted_pipeline_value)


def test_nothing_closed_is_no_rate_and_no_work_is_no_row(settings: Settings) -> None:
    """A rate without a denominator stays empty, and someone who never had a deal does not stand at the bottom."""
    worked = read_anna(settings)
    (row,) = compare_team([worked], [worked])
    assert (row.won, row.closed, row.win_rate) == (0, 0, None)
    idle = replace(
        worked, deals_open=0, deals_closed_won=0, deals_closed_lost=0, deals_cancelled=0,
        confirmed_commission_amount=Decimal("0.00"),
    )  # fmt: skip
    assert compare_team([idle], []) == []
