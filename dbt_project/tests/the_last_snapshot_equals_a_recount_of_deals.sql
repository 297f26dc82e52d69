-- The running sums of the last day against a direct count of `deals`, agent by agent, exact to the cent where
-- nothing was converted. Credit is the owner's at the time, so the recount goes by the credited agent.
with recount as (
    select
        credited_agent_id as agent_id,
        sum(case when status = 'open' then 1 else 0 end) as deals_open,
        sum(case when status = 'closed_won' then 1 else 0 end) as deals_closed_won,
        sum(case when status = 'closed_lost' then 1 else 0 end) as deals_closed_lost,
        sum(case when status = 'cancelled' then 1 else 0 end) as deals_cancelled,
        coalesce(sum(case when status = 'open' then value_reporting end), 0) as gross_pipeline_value,
        coalesce(sum(case when status = 'open' then value_reporting * effective_confidence end), 0)
            as weighted_pipeline_value,
        coalesce(sum(case when status = 'closed_won' then value_reporting end), 0) as won_value,
        coalesce(sum(case when status = 'closed_lost' then value_reporting end), 0) as lost_value,
        coalesce(sum(cycle_days), 0) as cycle_days_sum,
        {{ median('cycle_days') }} as median_cycle_days,
        count(*) as deals,
        sum(
            case
                when
                    status in ('closed_won', 'closed_lost')
                    and value_reporting is null
                    and estimated_value_amount is not null
                    then 1
                else 0
            end
        ) as closed_unconverted_count
    from {{ ref('deals') }}
    group by credited_agent_id
),

last_day as (
    select * from {{ ref('agent_performance_snapshots') }}
    where snapshot_date = {{ as_of_date() }}
)

select
    last_day.agent_id,
    last_day.deals_open,
    recount.deals_open as recounted_open,
    last_day.gross_pipeline_value,
    recount.gross_pipeline_value as recounted_gross,
    last_day.won_value,
    recount.won_value as recounted_won
from last_day
left join recount on last_day.agent_id = recount.agent_id
where
    last_day.deals_open <> coalesce(recount.deals_open, 0)
    or last_day.deals_closed_won <> coalesce(recount.deals_closed_won, 0)
    or last_day.deals_closed_lost <> coalesce(recount.deals_closed_lost, 0)
    or last_day.deals_cancelled <> coalesce(recount.deals_cancelled, 0)
    or last_day.closed_unconverted_count <> coalesce(recount.closed_unconverted_count, 0)
    -- Each deal's value is rounded to cents in `deals`, the sum once in the snapshot: half a cent a deal at most.
    or abs(last_day.gross_pipeline_value - coalesce(recount.gross_pipeline_value, 0)) > 0.01 * recount.deals
    or abs(last_day.weighted_pipeline_value - coalesce(recount.weighted_pipeline_value, 0)) > 0.01 * recount.deals
    or abs(last_day.won_value - coalesce(recount.won_value, 0)) > 0.01 * recount.deals
    or abs(last_day.lost_value - coalesce(recount.lost_value, 0)) > 0.01 * recount.deals
    or abs(last_day.cycle_days_sum - coalesce(recount.cycle_days_sum, 0)) > 1e-6 * recount.deals
    or abs(last_day.median_cycle_days - recount.median_cycle_days) > 1e-9
    or (last_day.median_cycle_days is null) <> (recount.median_cycle_days is null)
