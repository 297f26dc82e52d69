-- Five days spread over the history: the team's totals straight from the revisions that stood at the end of the day,
-- with no running sum, against the sum over agents, over stages and over currencies.
with days as (
    select
        snapshot_date,
        row_number() over (order by snapshot_date) as place,
        count(*) over () as days
    from {{ ref('int_days_spanned') }}
),

sampled_days as (
    select snapshot_date from days
    where place in (1, 1 + days / 4, 1 + days / 2, 1 + 3 * days / 4, days)
),

standing as (
    select
        sampled_days.snapshot_date,
        sum(case when revisions.status = 'open' then 1 else 0 end) as deals_open,
        sum(case when revisions.status = 'closed_won' then 1 else 0 end) as deals_closed_won,
        sum(case when revisions.status = 'closed_lost' then 1 else 0 end) as deals_closed_lost,
        sum(case when revisions.status = 'cancelled' then 1 else 0 end) as deals_cancelled,
        sum(
            case
                when revisions.status = 'open' and revisions.estimated_value_currency = {{ reporting_currency() }}
                    then coalesce(revisions.estimated_value_amount, 0)
                else 0
            end
        ) as gross_in_reporting_currency
    from sampled_days
    inner join {{ ref('deal_revisions') }} as revisions
        on
            sampled_days.snapshot_date >= revisions.valid_from_date
            and (revisions.valid_to_date is null or sampled_days.snapshot_date < revisions.valid_to_date)
    group by sampled_days.snapshot_date
),

agents as (
    select
        snapshot_date,
        sum(deals_open) as deals_open,
        sum(deals_closed_won) as deals_closed_won,
        sum(deals_closed_lost) as deals_closed_lost,
        sum(deals_cancelled) as deals_cancelled,
        sum(gross_pipeline_value) as gross_pipeline_value,
        sum(weighted_pipeline_value) as weighted_pipeline_value,
        count(*) as agents
    from {{ ref('agent_performance_snapshots') }}
    where snapshot_date in (select sampled_days.snapshot_date from sampled_days)
    group by snapshot_date
),

stages as (
    select
        snapshot_date,
        sum(deals_open) as deals_open,
        sum(gross_pipeline_value) as gross_pipeline_value,
        sum(weighted_pipeline_value) as weighted_pipeline_value
    from {{ ref('pipeline_stage_daily') }}
    where snapshot_date in (select sampled_days.snapshot_date from sampled_days)
    group by snapshot_date
),

currencies as (
    select
        snapshot_date,
        sum(case when currency = {{ reporting_currency() }} then gross_pipeline_value else 0 end)
            as gross_in_reporting_currency
    from {{ ref('agent_currency_snapshots') }}
    where snapshot_date in (select sampled_days.snapshot_date from sampled_days)
    group by snapshot_date
)

select
    sampled_days.snapshot_date,
    agents.deals_open,
    standing.deals_open as standing_open,
    stages.deals_open as open_in_stages
from sampled_days
left join agents on sampled_days.snapshot_date = agents.snapshot_date
left join standing on sampled_days.snapshot_date = standing.snapshot_date
left join stages on sampled_days.snapshot_date = stages.snapshot_date
left join currencies on sampled_days.snapshot_date = currencies.snapshot_date
where
    coalesce(agents.deals_open, 0) <> coalesce(standing.deals_open, 0)
    or coalesce(agents.deals_closed_won, 0) <> coalesce(standing.deals_closed_won, 0)
    or coalesce(agents.deals_closed_lost, 0) <> coalesce(standing.deals_closed_lost, 0)
    or coalesce(agents.deals_cancelled, 0) <> coalesce(standing.deals_cancelled, 0)
    or coalesce(agents.deals_open, 0) <> coalesce(stages.deals_open, 0)
    or coalesce(currencies.gross_in_reporting_currency, 0) <> coalesce(standing.gross_in_reporting_currency, 0)
    -- Agents and stages are rounded to cents one by one.
    or abs(coalesce(agents.gross_pipeline_value, 0) - coalesce(stages.gross_pipeline_value, 0)) > 0.1 * agents.agents
    or abs(coalesce(agents.weighted_pipeline_value, 0) - coalesce(stages.weighted_pipeline_value, 0))
    > 0.1 * agents.agents
