"""Values come back from the database exactly as they went in, or do not go in at all."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checks import check_confidence, check_money, check_rate, compute_commission
from ledger.columns import exact_decimal, format_time, parse_time
from ledger.deals import get_deal
from ledger.errors import AmountInvalid, TimeNaive
from ledger.store import Ledger
from tests.support.ledger import Staff, open_some_deal


@pytest.mark.parametrize("amount", ["0.00", "0.01", "0.30", "1200000.10", "99999999999999.99"])
def test_money_comes_back_to_the_cent(ledger: Ledger, staff: Staff, amount: str) -> None:
    deal = open_some_deal(ledger, staff.agent, estimated_value_amount=Decimal(amount))
    with ledger.read() as session:
        found = get_deal(session, staff.agent, deal.id).estimated_value_amount
    assert str(found) == amount


def test_tenths_add_up_exactly(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent, estimated_value_amount=Decimal("0.1") + Decimal("0.2"))
    assert deal.estimated_value_amount == Decimal("0.3")


@pytest.mark.parametrize("value", [0.1, 1e3, True, None, "12,000", "NaN", "Infinity", "0.001", "100000000000000.00"])
def test_what_is_not_an_exact_amount_is_refused(value: object) -> None:
    with pytest.raises(AmountInvalid):
        check_money(value, "amount")


@given(st.decimals(min_value="-99999999999999.99", max_value="99999999999999.99", places=2))
def test_any_amount_of_sixteen_digits_is_kept(amount: Decimal) -> None:
    assert exact_decimal(str(amount), precision=16, scale=2, column="amount") == amount


def test_a_percentage_is_not_taken_for_a_share() -> None:
    with pytest.raises(AmountInvalid, match=r"2\.5 % is 0\.025"):
        check_rate(Decimal("2.5"), "commission_rate")
    with pytest.raises(AmountInvalid, match=r"60 % is 0\.6"):
        check_confidence(60)


def test_commissions_are_rounded_half_up_to_the_cent() -> None:
    assert compute_commission(Decimal("100.20"), Decimal("0.0250")) == Decimal("2.51")  # 2.505
    assert compute_commission(Decimal("1200000.00"), Decimal("0.0250")) == Decimal("30000.00")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(TimeNaive):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_times_are_written_in_utc_with_six_digits() -> None:
    singapore = timezone(timedelta(hours=8))
    text = format_time(datetime(2026, 1, 1, 7, 0, tzinfo=singapore))
    assert text == "2025-12-31T23:00:00.000000Z"
    assert parse_time(text) == datetime(2025, 12, 31, 23, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_written_times_sort_as_the_times_do(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) == (one < other)
