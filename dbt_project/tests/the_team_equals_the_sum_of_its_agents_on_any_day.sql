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
    select
        snapshot_date,
        row_number() over (order by snapshot_date) as sample
    from days
    where place in (1, 1 + floor(days / 4), 1 + floor(days / 2), 1 + floor(3 * days / 4), days)
),

-- On each day, the first sample that is not over.
days_before_samples as (
    select
        days.snapshot_date,
        min(sampled_days.sample) as sample
    from days
    inner join sampled_days on days.snapshot_date <= sampled_days.snapshot_date
    group by days.snapshot_date
),

-- Revisions that stood at the same samples are added up first: joined with the five days, each would be copied.
spells as (
    select
        starts.sample as first_sample,
        ends.sample as end_sample,
        revisions.status,
        count(*) as deals,
        sum(
            case
                when revisions.status = 'open' and revisions.estimated_value_currency = {{ reporting_currency() }}
                    then coalesce(revisions.estimated_value_amount, 0)
                else 0
            end
        ) as gross_in_reporting_currency
    from {{ ref('deal_revisions') }} as revisions
    inner join days_before_samples as starts on revisions.valid_from_date = starts.snapshot_date
    left join days_before_samples as ends on revisions.valid_to_date = ends.snapshot_date
    where ends.sample is null or starts.sample < ends.sample
    group by starts.sample, ends.sample, revisions.status
),

standing as (
    select
        sampled_days.snapshot_date,
        sum(case when spells.status = 'open' then spells.deals else 0 end) as deals_open,
        sum(case when spells.status = 'closed_won' then spells.deals else 0 end) as deals_closed_won,
        sum(case when spells.status = 'closed_lost' then spells.deals else 0 end) as deals_closed_lost,
        sum(case when spells.status = 'cancelled' then spells.deals else 0 end) as deals_cancelled,
        sum(spells.gross_in_reporting_currency) as gross_in_reporting_currency
    from sampled_days
    inner join spells
        on
            sampled_days.sample >= spells.first_sample
            and (spells.end_sample is null or sampled_days.sample < spells.end_sample)
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
