"""Errors found in other people's code for the same job: each is a test here, named after it, in the order of the list.

Beside each test stands the error itself, as an edit of our models. `make soak` builds every one of them in and sees the
test fail; in `make test` the tests run against the models as they are.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.log_reader import read_frames
from ledger.actors import SYSTEM
from ledger.deals import cancel_deal, change_deal
from ledger.store import Ledger
from ledger.tables import AgentDeal
from tests.support.campaigns import is_soak
from tests.support.dbt_runs import PROJECT, Warehouse
from tests.support.hand_written_agency import AS_OF, LAST_DAY, deal, snapshot, write_agency
from tests.support.ledger import build_ledger, log_size, open_some_deal, record_person, run

Check = Callable[[Warehouse], None]


@dataclass(frozen=True)
class BuiltIn:
    """An error as an edit of the dbt project, and the check that must notice it."""

    check: Check
    file: str
    right: str
    wrong: str


BUILT_IN: list[BuiltIn] = []


def fails_with(file: str, right: str, wrong: str) -> Callable[[Check], Check]:
    """Note beside a test the edit of the dbt project with which it must fail."""

    def note(check: Check) -> Check:
        BUILT_IN.append(BuiltIn(check, file, right, wrong))
        return check

    return note


MARTS = "models/marts/"
DEALS = "models/intermediate/int_deals_standing.sql"
DEAL_CHANGES = "models/intermediate/int_deal_changes_daily.sql"
COMMISSION_CHANGES = "models/intermediate/int_commission_changes_daily.sql"
COMMISSIONS = "models/intermediate/int_commissions_folded.sql"
STAGES_ENTERED = "models/intermediate/int_stages_entered.sql"


@fails_with(
    DEALS,
    "'as_of_now.opened_at', 'as_of_now.closed_at'",
    "'as_of_now.closed_at', 'as_of_now.opened_at'",
)
@fails_with(
    DEAL_CHANGES,
    "'deal_revisions.opened_at', 'deal_revisions.closed_at'",
    "'deal_revisions.closed_at', 'deal_revisions.opened_at'",
)
def test_cycle_with_the_arguments_of_datediff_reversed(hand_written: Warehouse) -> None:
    """A 60-day cycle is 60, not -60; with one of 10 days the mean and the median are 35."""
    assert deal(hand_written, "sixty")["cycle_days"] == 60.0
    ann = snapshot(hand_written, "ann")
    assert (ann["avg_cycle_days"], ann["median_cycle_days"]) == (35.0, 35.0)


@fails_with(
    MARTS + "agent_performance_snapshots.sql",
    "{{ divide('deals_closed_won', 'deals_closed_won + deals_closed_lost') }} as conversion_rate",
    "coalesce({{ divide('deals_closed_won', 'deals_closed_won + nullif(deals_closed_lost, 0)') }}, 0)"
    " as conversion_rate",
)
@fails_with(
    MARTS + "agent_performance_snapshots.sql",
    "{{ divide('deals_closed_won', 'deals_closed_won + deals_closed_lost') }} as conversion_rate",
    "{{ divide('deals_closed_won', 'deals_closed_lost') }} as conversion_rate",
)
def test_owner_with_wins_and_no_losses(hand_written: Warehouse) -> None:
    """Two wins and no loss are a win rate of 1, nobody's is above it; rolled up, 3 wins of 5 are 60 %, not 300 %."""
    assert snapshot(hand_written, "ann")["conversion_rate"] == 1.0
    highest = "SELECT max(conversion_rate) AS rate FROM marts.agent_performance_snapshots"
    assert hand_written.row(highest)["rate"] == 1.0
    team = hand_written.row(
        "SELECT sum(conversion_numerator) AS won, sum(conversion_denominator) AS decided "
        "FROM marts.agent_performance_snapshots WHERE snapshot_date = ?",
        AS_OF,
    )
    assert team == {"won": 3, "decided": 5}


@fails_with(DEAL_CHANGES, "signed_amount * effective_confidence", "signed_amount * effective_confidence * 100")
@fails_with(DEAL_CHANGES, "signed_amount * effective_confidence", "signed_amount * effective_confidence / 100")
def test_probability_read_as_a_percentage_in_one_place_and_as_a_share_in_another(hand_written: Warehouse) -> None:
    """Half of 100, six tenths of 200, a twentieth of ten dollars at two to one; all but the 200 rests on assumption."""
    ben = snapshot(hand_written, "ben")
    assert ben["weighted_pipeline_value"] == Decimal("171.00")
    assert ben["gross_pipeline_value"] == Decimal("320.00")
    assert ben["value_without_confidence"] == Decimal("120.00")


@fails_with(
    MARTS + "agent_performance_snapshots.sql",
    "{{ each_day_until('change_date', 'next_change_date') }} as snapshot_date",
    "change_date as snapshot_date",
)
def test_incremental_daily_history_a_deal_that_did_not_change_got_no_row_for_later_days(
    hand_written: Warehouse,
) -> None:
    """A deal that does not change counts on every later day, and an agent who never had one has rows all the same."""
    days = (LAST_DAY - date(2024, 1, 1)).days + 1
    rows = hand_written.rows(
        "SELECT agent_id, count(*) AS n FROM marts.agent_performance_snapshots GROUP BY ALL ORDER BY ALL"
    )
    assert rows == [{"agent_id": agent, "n": days} for agent in ("ann", "ben", "cho", "mei")]
    assert snapshot(hand_written, "ben", "2024-06-01")["deals_open"] == 4


@fails_with(
    DEAL_CHANGES,
    "        deal_revisions.valid_to_date,\n",
    "        coalesce(deal_revisions.valid_to_date, deal_revisions.expected_close_date) as valid_to_date,\n",
)
def test_a_history_ended_on_the_expected_close_date(hand_written: Warehouse) -> None:
    """An overdue deal is still open and still in its stage."""
    assert deal(hand_written, "overdue")["status"] == "open"
    stages = hand_written.row(
        "SELECT * FROM marts.pipeline_stage_daily WHERE agent_id = 'ben' AND stage = 'proposal' AND snapshot_date = ?",
        AS_OF,
    )
    assert (stages["deals_open"], stages["gross_pipeline_value"]) == (1, Decimal("200.00"))


@fails_with("macros/run_facts.sql", "cast('{{ var(\"as_of_date\") }}' as date)", "current_date")
def test_this_month_taken_from_the_clock(hand_written: Warehouse) -> None:
    """Every mart ends on the day that was asked about, however long ago: an open deal's age is that of June."""
    series = hand_written.row("SELECT max(snapshot_date) AS day FROM marts.agent_performance_snapshots")
    assert series["day"] == LAST_DAY
    # Opened at noon of 10 January: 172 days and a half to the end of June.
    assert deal(hand_written, "overdue")["days_in_stage"] == 172.5
    marts = hand_written.rows("SELECT table_name AS mart FROM information_schema.tables WHERE table_schema = 'marts'")
    for mart in marts:
        days = hand_written.rows(f"SELECT DISTINCT as_of_date FROM marts.{mart['mart']}")
        assert days in ([], [{"as_of_date": LAST_DAY}]), mart


@fails_with(
    STAGES_ENTERED,
    "        min(visit) as visit\n    from visits\n    where is_open\n    group by deal_id, stage",
    "        visit\n    from visits\n    where is_open",
)
@fails_with(
    STAGES_ENTERED, "    where is_open\n    group", "    where is_open and visit > 1\n    group"
)
def test_funnel_counted_transition_rows(hand_written: Warehouse) -> None:
    """Cho's four deals entered the first stage once each, though one came back to it; the first stage is there."""
    entered = hand_written.row(
        "SELECT sum(entered_n) AS deals FROM marts.stage_conversion WHERE agent_id = 'cho' AND stage = 'lead_captured'"
    )
    assert entered["deals"] == 4


@fails_with(
    DEAL_CHANGES,
    "sum(case when status = 'open' then signed_amount * effective_confidence end)",
    "sum(signed_amount * case when status = 'closed_lost' then 1 when status = 'open' then effective_confidence end)",
)
@fails_with(
    DEAL_CHANGES,
    "        greatest(deal_revisions.valid_from_date, agents.from_date) as valid_from_date,\n",
    "        case when deal_revisions.status = 'closed_won' then {{ business_date('deal_revisions.opened_at') }}\n"
    "        else deal_revisions.valid_from_date end as valid_from_date,\n",
)
def test_lost_deals_in_the_forecast_and_won_deals_grouped_by_their_creation_date(hand_written: Warehouse) -> None:
    """A lost deal weighs nothing; a win counts from the day it closed, not from the day it was opened."""
    assert snapshot(hand_written, "ben")["weighted_pipeline_value"] == Decimal("171.00")
    assert snapshot(hand_written, "ann", "2024-02-10")["deals_closed_won"] == 0
    assert snapshot(hand_written, "ann", "2024-02-11")["deals_closed_won"] == 1


@fails_with(
    MARTS + "agent_performance_snapshots.sql",
    "{{ divide('deals_closed_won', 'deals_closed_won + deals_closed_lost') }} as conversion_rate",
    "{{ divide('deals_closed_won', 'deals_open + deals_closed_won') }} as conversion_rate",
)
@fails_with(
    DEAL_CHANGES,
    "        deal_revisions.status,\n",
    "        case when deal_revisions.status = 'cancelled' then 'open' else deal_revisions.status end as status,\n",
)
def test_conversion_as_won_by_open_and_won_and_cancelled_counted_as_open(hand_written: Warehouse) -> None:
    """Ben: no win, one loss, four open, one cancelled: 0 of 1. Cho: one win, one loss, two open, so one half."""
    ben, cho = snapshot(hand_written, "ben"), snapshot(hand_written, "cho")
    assert (ben["conversion_rate"], ben["conversion_numerator"], ben["conversion_denominator"]) == (0.0, 0, 1)
    assert (ben["deals_open"], ben["deals_cancelled"], ben["deals_closed_lost"]) == (4, 1, 1)
    assert (cho["conversion_rate"], cho["deals_open"]) == (0.5, 2)


@fails_with(
    MARTS + "agent_currency_snapshots.sql",
    "case when status = 'open' then amount else 0 end as gross_pipeline_value",
    "amount as gross_pipeline_value",
)
@fails_with(
    DEAL_CHANGES,
    "sum(case when status = 'open' then signed_amount * effective_confidence end)",
    "sum(signed_amount * effective_confidence)",
)
def test_gross_and_weighted_value_summed_over_closed_deals_too(hand_written: Warehouse) -> None:
    """The cancelled 5000 and the lost 300 left the pipeline on the day they closed, and Ann's two wins are in none."""
    assert snapshot(hand_written, "ben", "2024-03-31")["gross_pipeline_value"] == Decimal("5615.00")
    assert snapshot(hand_written, "ben", "2024-04-01")["gross_pipeline_value"] == Decimal("315.00")
    ann = snapshot(hand_written, "ann")
    assert (ann["gross_pipeline_value"], ann["weighted_pipeline_value"]) == (0, 0)


@fails_with(
    "macros/run_facts.sql",
    "{{ start_of_business_day(dbt.dateadd('day', 1, as_of_date())) }}",
    "{{ start_of_business_day(dbt.dateadd('day', 1000, as_of_date())) }}",
)
def test_the_as_of_date_only_labelled_the_row(hand_written: Warehouse) -> None:
    """What July brought is not in June's state: a deal won then is still open, one opened then is not there."""
    assert deal(hand_written, "won-in-july")["status"] == "open"
    assert hand_written.rows("SELECT * FROM marts.deals WHERE deal_id = 'opened-in-july'") == []
    mei = snapshot(hand_written, "mei")
    assert (mei["deals_open"], mei["deals_closed_won"], mei["weighted_pipeline_value"]) == (1, 0, Decimal("20.00"))


@fails_with(
    COMMISSION_CHANGES,
    "        commission_revisions.agent_id,\n",
    "        (\n            select min(deals.credited_agent_id) from {{ ref('deals') }} as deals\n"
    "            where deals.deal_id = commission_revisions.deal_id\n        ) as agent_id,\n",
)
@fails_with(COMMISSIONS, "sum(adjustment_amount) over so_far", "0 * sum(adjustment_amount) over so_far")
@fails_with(
    "macros/money.sql",
    "cast({{ amount }} as {{ type_exact_total() }}) * {{ rate }}",
    "cast({{ amount }} as {{ type_exact_total() }})",
)
def test_a_co_agents_commission_credited_to_the_deals_agent_adjustments_ignored_currencies_summed_as_floats(
    hand_written: Warehouse,
) -> None:
    """Ben's line is Ben's; Ann's is 30 - 10 + 1; dollars count at their day's rate, euros apart; no float anywhere."""
    assert snapshot(hand_written, "ann")["confirmed_commission_amount"] == Decimal("21.00")
    assert snapshot(hand_written, "ann", "2024-03-31")["confirmed_commission_amount"] == Decimal("30.00")
    assert snapshot(hand_written, "ben")["confirmed_commission_amount"] == Decimal("20.00")
    assert snapshot(hand_written, "ann")["won_value"] == Decimal("1150.00")
    assert snapshot(hand_written, "ben")["unconverted_count"] == 1
    euros = hand_written.row(
        "SELECT * FROM marts.agent_currency_snapshots WHERE currency = 'EUR' AND snapshot_date = ?", AS_OF
    )
    assert (euros["agent_id"], euros["deals_open"], euros["gross_pipeline_value"]) == ("ben", 1, Decimal("10.00"))
    amounts = hand_written.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'marts' "
        "AND (column_name LIKE '%_amount' OR column_name LIKE '%pipeline_value' OR column_name IN "
        "('won_value', 'lost_value', 'value_reporting', 'value_without_confidence'))"
    )
    assert len(amounts) > 30
    assert [amount for amount in amounts if not amount["data_type"].startswith("DECIMAL")] == []


def test_amount_confidence_and_status_changed_with_no_log_entry(tmp_path: Path) -> None:
    """Each change of a real deal is an entry with the new value, so what stood before it can be told as well."""
    ledger = build_ledger(tmp_path)
    try:
        values = _change_a_deal_three_times(ledger)
    finally:
        ledger.close()
    assert values == [
        ("deal.changed", Decimal("250.00"), None, None),
        ("deal.changed", None, Decimal("0.80"), None),
        ("deal.cancelled", None, None, "cancelled"),
    ]


def _change_a_deal_three_times(ledger: Ledger) -> list[tuple[str, Decimal | None, Decimal | None, str | None]]:
    """Return what the log gained: type, amount, confidence and status of each entry."""
    opened = open_some_deal(ledger, record_person(ledger, "Ann"))
    size = log_size(ledger)
    run(ledger, change_deal, SYSTEM, opened.id, {"estimated_value_amount": Decimal("250.00")})
    run(ledger, change_deal, SYSTEM, opened.id, {"confidence": Decimal("0.80")})
    run(ledger, cancel_deal, SYSTEM, opened.id, reason="owner withdrew")
    with ledger.read() as session:
        kept = session.get_one(AgentDeal, opened.id)
        state = (kept.estimated_value_amount, kept.confidence, kept.status.value)
    assert state == (Decimal("250.00"), Decimal("0.80"), "cancelled")
    events = read_frames(ledger, size, log_size(ledger))["deal_events"]
    return events.select("event_type", "estimated_value_amount", "confidence", "status").rows()


@fails_with(
    MARTS + "deal_revisions.sql",
    "case when status <> 'open' then status_since end as closed_at",
    "status_since as closed_at",
)
def test_reopening_kept_the_old_close_date(hand_written: Warehouse) -> None:
    """An open deal has no close date, and left the won deals on the day it was reopened."""
    reopened = deal(hand_written, "reopened")
    assert (reopened["status"], reopened["closed_at"], reopened["actual_close_date"]) == ("open", None, None)
    won = [snapshot(hand_written, "cho", day)["deals_closed_won"] for day in ("2024-02-20", "2024-03-01")]
    assert won == [2, 1]
    medians = [snapshot(hand_written, "cho", day)["median_cycle_days"] for day in ("2024-02-20", "2024-03-01")]
    assert medians == [38.0, 45.0]


@fails_with(
    COMMISSIONS,
    "{{ last_known('to_status', 'so_far') }} as status",
    "{{ last_known(\"case when event_type = 'dispute.resolved' then 'pending' else to_status end\", 'so_far') }}"
    " as status",
)
def test_leaving_disputed_lost_the_status_before_it(hand_written: Warehouse) -> None:
    """While disputed the line is not confirmed and its disputed amount shows; afterwards it is confirmed again."""
    during, after = snapshot(hand_written, "ben", "2024-05-10"), snapshot(hand_written, "ben")
    assert (during["confirmed_commission_amount"], during["disputed_commission_amount"]) == (0, Decimal("15.00"))
    assert (after["confirmed_commission_amount"], after["disputed_commission_amount"]) == (Decimal("20.00"), 0)
    line = hand_written.row("SELECT * FROM marts.commissions WHERE commission_id = 'ben-line'")
    assert (line["status"], line["open_dispute_amount"]) == ("confirmed", 0)


# --- can these tests fail? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", BUILT_IN, ids=lambda error: error.check.__name__.removeprefix("test_")[:60])
def test_the_error_is_an_edit_of_the_models_as_they_are(error: BuiltIn) -> None:
    """The place to edit is still there, once: otherwise nothing would be built in below."""
    assert (PROJECT / error.file).read_text().count(error.right) == 1
    assert error.right != error.wrong


@pytest.mark.soak
@pytest.mark.skipif(not is_soak(), reason="builds the project once for each error: make soak")
@pytest.mark.parametrize("error", BUILT_IN, ids=lambda error: error.check.__name__.removeprefix("test_")[:60])
def test_each_of_these_tests_fails_with_its_error_built_in(error: BuiltIn, tmp_path: Path) -> None:
    """The models with the error still build; the test named after it notices."""
    project = shutil.copytree(PROJECT, tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    text = (project / error.file).read_text()
    (project / error.file).write_text(text.replace(error.right, error.wrong))
    agency = Warehouse(tmp_path, project=project)
    write_agency(agency)
    agency.run_dbt("build", "--resource-type", "model", "--resource-type", "seed", as_of_date=AS_OF)
    with pytest.raises(AssertionError):
        error.check(agency)
