-- Days before the first one to compute stay as they were built before.
{{ config(
    materialized='incremental', incremental_strategy='recomputed',
    unique_key=['agent_id', 'snapshot_date'], meta={'recomputed': 'int_agents_recomputed'}
) }}

with agents_listed as (
    select * from {{ ref('int_agents_listed') }}
),

agents_recomputed as (
    select * from {{ ref('int_agents_recomputed') }}
),

days as (
    select * from {{ ref('int_days_spanned') }}
),

deal_changes as (
    select * from {{ ref('int_deal_changes_daily') }}
),

commission_changes as (
    select * from {{ ref('int_commission_changes_daily') }}
),

currency_snapshots as (
    select * from {{ ref('agent_currency_snapshots') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

medians as (
    select * from {{ ref('int_cycle_medians_daily') }}
),

first_day as (
    select min(snapshot_date) as first_date from days
),

agents as (
    select
        agents_listed.agent_id,
        agents_listed.agent_name,
        greatest(agents_recomputed.from_date, first_day.first_date) as from_date
    from agents_listed
    inner join agents_recomputed on agents_listed.agent_id = agents_recomputed.agent_id
    cross join first_day
),

{% if var('built_log_size') %}
    days_before as (
        select
            kept.agent_id,
            kept.open_days
        from {{ this }} as kept
        inner join agents
            on
                kept.agent_id = agents.agent_id
                and kept.snapshot_date = {{ dbt.dateadd('day', -1, 'agents.from_date') }}
    ),
{% else %}
    days_before as (
        select
            agent_id,
            {{ count_of(0) }} as open_days
        from agents
    ),
{% endif %}

-- All that changed before the first day to compute counts as of that day: the sum of a day is the same.
deal_changes_by_day as (
    select
        deal_changes.agent_id,
        greatest(deal_changes.change_date, agents.from_date) as change_date,
        sum(case when deal_changes.status = 'open' then deal_changes.deals else 0 end) as deals_open,
        sum(case when deal_changes.status = 'closed_won' then deal_changes.deals else 0 end) as deals_closed_won,
        sum(case when deal_changes.status = 'closed_lost' then deal_changes.deals else 0 end) as deals_closed_lost,
        sum(case when deal_changes.status = 'cancelled' then deal_changes.deals else 0 end) as deals_cancelled,
        sum(case when deal_changes.status = 'closed_won' then deal_changes.amount_at_close_rate else 0 end)
            as won_value,
        sum(case when deal_changes.status = 'closed_lost' then deal_changes.amount_at_close_rate else 0 end)
            as lost_value,
        sum(
            case
                when deal_changes.status = 'closed_won' then deal_changes.valued_deals - deal_changes.unconverted_deals
                else 0
            end
        ) as won_value_n,
        sum(deal_changes.unconverted_deals) as closed_unconverted_count,
        sum(deal_changes.cycle_microseconds) as cycle_microseconds
    from deal_changes
    inner join agents on deal_changes.agent_id = agents.agent_id
    group by deal_changes.agent_id, greatest(deal_changes.change_date, agents.from_date)
),

commission_changes_by_day as (
    select
        commission_changes.agent_id,
        greatest(commission_changes.change_date, agents.from_date) as change_date,
        sum(commission_changes.confirmed_at_confirmation_rate) as confirmed_commission_amount,
        sum(commission_changes.unconverted_commissions) as unconverted_commissions
    from commission_changes
    inner join agents on commission_changes.agent_id = agents.agent_id
    group by commission_changes.agent_id, greatest(commission_changes.change_date, agents.from_date)
),

-- What stands open is worth what it is worth on that day: per currency, then at the day's rate.
converted as (
    select
        currency_snapshots.agent_id,
        currency_snapshots.snapshot_date,
        sum({{ convert('currency_snapshots.gross_pipeline_value', 'currency_snapshots.currency', 'rates.rate') }})
            as gross_pipeline_value,
        sum({{ convert('currency_snapshots.weighted_pipeline_value', 'currency_snapshots.currency', 'rates.rate') }})
            as weighted_pipeline_value,
        sum({{ convert('currency_snapshots.value_without_confidence', 'currency_snapshots.currency', 'rates.rate') }})
            as value_without_confidence,
        sum({{ convert('currency_snapshots.disputed_commission_amount', 'currency_snapshots.currency', 'rates.rate') }})
            as disputed_commission_amount,
        sum(case when rates.rate is null then currency_snapshots.deals_open_with_value else 0 end)
            as unconverted_count,
        sum(case when rates.rate is null then currency_snapshots.open_disputes else 0 end) as unconverted_disputes
    from currency_snapshots
    inner join agents
        on
            currency_snapshots.agent_id = agents.agent_id
            and currency_snapshots.snapshot_date >= agents.from_date
    left join rates
        on
            currency_snapshots.currency = rates.currency
            and currency_snapshots.snapshot_date = rates.snapshot_date
    group by currency_snapshots.agent_id, currency_snapshots.snapshot_date
),

agent_days as (
    select
        agents.agent_id,
        agents.agent_name,
        days.snapshot_date
    from agents
    inner join days on agents.from_date <= days.snapshot_date
),

-- A day is the running sum of all changes up to it, so a day without changes has its row like any other.
running as (
    select
        agent_days.agent_id,
        agent_days.agent_name,
        agent_days.snapshot_date,
        coalesce(sum(deal_changes_by_day.deals_open) over so_far, 0) as deals_open,
        coalesce(sum(deal_changes_by_day.deals_closed_won) over so_far, 0) as deals_closed_won,
        coalesce(sum(deal_changes_by_day.deals_closed_lost) over so_far, 0) as deals_closed_lost,
        coalesce(sum(deal_changes_by_day.deals_cancelled) over so_far, 0) as deals_cancelled,
        coalesce(sum(deal_changes_by_day.won_value) over so_far, 0) as won_value,
        coalesce(sum(deal_changes_by_day.lost_value) over so_far, 0) as lost_value,
        coalesce(sum(deal_changes_by_day.won_value_n) over so_far, 0) as won_value_n,
        coalesce(sum(deal_changes_by_day.closed_unconverted_count) over so_far, 0) as closed_unconverted_count,
        coalesce(sum(deal_changes_by_day.cycle_microseconds) over so_far, 0) as cycle_microseconds,
        coalesce(sum(commission_changes_by_day.confirmed_commission_amount) over so_far, 0)
            as confirmed_commission_amount,
        coalesce(sum(commission_changes_by_day.unconverted_commissions) over so_far, 0) as unconverted_commissions
    from agent_days
    left join deal_changes_by_day
        on
            agent_days.agent_id = deal_changes_by_day.agent_id
            and agent_days.snapshot_date = deal_changes_by_day.change_date
    left join commission_changes_by_day
        on
            agent_days.agent_id = commission_changes_by_day.agent_id
            and agent_days.snapshot_date = commission_changes_by_day.change_date
    window so_far as (
        partition by agent_days.agent_id order by agent_days.snapshot_date
        rows between unbounded preceding and current row
    )
),

rounded as (
    select
        running.agent_id,
        running.agent_name,
        running.snapshot_date,
        {{ count_of('running.deals_open') }} as deals_open,
        {{ count_of('running.deals_closed_won') }} as deals_closed_won,
        {{ count_of('running.deals_closed_lost') }} as deals_closed_lost,
        {{ count_of('running.deals_cancelled') }} as deals_cancelled,
        {{ money_total('coalesce(converted.gross_pipeline_value, 0)') }} as gross_pipeline_value,
        {{ money_total('coalesce(converted.weighted_pipeline_value, 0)') }} as weighted_pipeline_value,
        {{ money_total('coalesce(converted.value_without_confidence, 0)') }} as value_without_confidence,
        {{ count_of('coalesce(converted.unconverted_count, 0)') }} as unconverted_count,
        {{ money_total('running.won_value') }} as won_value,
        {{ money_total('running.lost_value') }} as lost_value,
        {{ count_of('running.won_value_n') }} as won_value_n,
        {{ count_of('running.closed_unconverted_count') }} as closed_unconverted_count,
        running.cycle_microseconds,
        medians.median_cycle_days,
        {{ money_total('running.confirmed_commission_amount') }} as confirmed_commission_amount,
        {{ money_total('coalesce(converted.disputed_commission_amount, 0)') }} as disputed_commission_amount,
        {{ count_of('running.unconverted_commissions + coalesce(converted.unconverted_disputes, 0)') }}
            as commission_unconverted_count,
        {{ count_of('coalesce(days_before.open_days, 0) + sum(running.deals_open) over so_far') }} as open_days
    from running
    left join days_before on running.agent_id = days_before.agent_id
    left join converted
        on running.agent_id = converted.agent_id and running.snapshot_date = converted.snapshot_date
    left join medians
        on running.agent_id = medians.agent_id and running.snapshot_date = medians.snapshot_date
    window so_far as (
        partition by running.agent_id order by running.snapshot_date
        rows between unbounded preceding and current row
    )
),

rated as (
    select
        *,
        deals_closed_won as conversion_numerator,
        deals_closed_won + deals_closed_lost as conversion_denominator,
        {{ divide('deals_closed_won', 'deals_closed_won + deals_closed_lost') }} as conversion_rate,
        won_value as conversion_value_numerator,
        {{ money_total('won_value + lost_value') }} as conversion_value_denominator,
        {{ divide('won_value', 'won_value + lost_value') }} as conversion_rate_value,
        {{ days_of('cycle_microseconds') }} as cycle_days_sum,
        deals_closed_won as cycle_n,
        {{ days_of(divide('cycle_microseconds', 'deals_closed_won')) }} as avg_cycle_days,
        {{ divide('won_value', 'won_value_n') }} as avg_won_value
    from rounded
),

final as (
    select
        agent_id,
        agent_name,
        snapshot_date,
        {{ reporting_currency() }} as reporting_currency,
        deals_open,
        deals_closed_won,
        deals_closed_lost,
        deals_cancelled,
        gross_pipeline_value,
        weighted_pipeline_value,
        value_without_confidence,
        unconverted_count,
        won_value,
        lost_value,
        won_value_n,
        closed_unconverted_count,
        conversion_numerator,
        conversion_denominator,
        conversion_rate,
        conversion_value_numerator,
        conversion_value_denominator,
        conversion_rate_value,
        cycle_days_sum,
        cycle_n,
        avg_cycle_days,
        median_cycle_days,
        {{ money_total('avg_won_value') }} as avg_won_value,
        case
            when cycle_n >= 5
                then deals_open * avg_won_value * conversion_rate / nullif(avg_cycle_days, 0)
        end as sales_velocity_per_day,
        confirmed_commission_amount,
        disputed_commission_amount,
        commission_unconverted_count,
        {{ divide('confirmed_commission_amount', 'won_value') }} as commission_yield,
        {{ divide('confirmed_commission_amount', 'deals_closed_won') }} as revenue_per_won_deal,
        open_days,
        {{ divide('confirmed_commission_amount', 'open_days') }} as revenue_per_open_day,
        {{ provenance() }}
    from rated
)

select * from final
