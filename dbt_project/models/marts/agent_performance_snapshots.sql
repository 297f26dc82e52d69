-- Days before the first one to compute stay as they were built before.
{{ config(
    materialized='incremental',
    unique_key=['agent_id', 'snapshot_date'], meta={'recomputed': 'int_agents_recomputed'}
) }}

{% set of_deals = [
    'deals_open', 'deals_closed_won', 'deals_closed_lost', 'deals_cancelled', 'won_value', 'lost_value', 'won_value_n',
    'closed_unconverted_count', 'cycle_microseconds'
] %}
{% set of_commissions = ['confirmed_commission_amount', 'unconverted_commissions'] %}

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

rate_days as (
    select distinct effective_date from {{ ref('stg_reference__fx_rates') }}
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
    inner join first_day on agents_recomputed.from_date <= {{ as_of_date() }} and first_day.first_date is not null
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

-- A day differs from the one before where deals or commissions changed, or a rate.
changes as (
    select
        agent_id,
        change_date,
        case when status = 'open' then deals else 0 end as deals_open,
        case when status = 'closed_won' then deals else 0 end as deals_closed_won,
        case when status = 'closed_lost' then deals else 0 end as deals_closed_lost,
        case when status = 'cancelled' then deals else 0 end as deals_cancelled,
        case when status = 'closed_won' then amount_at_close_rate else 0 end as won_value,
        case when status = 'closed_lost' then amount_at_close_rate else 0 end as lost_value,
        case when status = 'closed_won' then valued_deals - unconverted_deals else 0 end as won_value_n,
        unconverted_deals as closed_unconverted_count,
        cycle_microseconds,
        0 as confirmed_commission_amount,
        0 as unconverted_commissions
    from deal_changes
    union all
    select
        agent_id,
        change_date,
        {% for column in of_deals %}
            0 as {{ column }},
        {% endfor %}
        confirmed_at_confirmation_rate as confirmed_commission_amount,
        unconverted_commissions
    from commission_changes
    union all
    select
        agents.agent_id,
        rate_days.effective_date as change_date,
        {% for column in of_deals %}
            0 as {{ column }},
        {% endfor %}
        0 as confirmed_commission_amount,
        0 as unconverted_commissions
    from agents
    cross join rate_days
    union all
    select
        agent_id,
        from_date as change_date,
        {% for column in of_deals %}
            0 as {{ column }},
        {% endfor %}
        0 as confirmed_commission_amount,
        0 as unconverted_commissions
    from agents
),

-- All that changed before the first day to compute counts as of that day: the sum of a day is the same.
changes_by_day as (
    select
        {% for column in of_deals + of_commissions %}
            sum(changes.{{ column }}) as {{ column }},
        {% endfor %}
        changes.agent_id,
        agents.from_date,
        greatest(changes.change_date, agents.from_date) as change_date
    from changes
    inner join agents on changes.agent_id = agents.agent_id
    group by changes.agent_id, agents.from_date, greatest(changes.change_date, agents.from_date)
),

-- What stands from one change to the next. A deal that is open has been so on every day since the first one to compute,
-- except on those before the day of its change.
levels as (
    select
        {% for column in of_deals + of_commissions %}
            sum(changes_by_day.{{ column }}) over so_far as {{ column }},
        {% endfor %}
        sum(
            changes_by_day.deals_open
            * {{ dbt.datediff('changes_by_day.from_date', 'changes_by_day.change_date', 'day') }}
        ) over so_far as days_not_open,
        {{ last_known('medians.median_cycle_days', 'so_far') }} as median_cycle_days,
        changes_by_day.agent_id,
        changes_by_day.change_date,
        lead(changes_by_day.change_date) over changed_days as next_change_date
    from changes_by_day
    left join medians
        on changes_by_day.agent_id = medians.agent_id and changes_by_day.change_date = medians.change_date
    window
        changed_days as (partition by changes_by_day.agent_id order by changes_by_day.change_date),
        so_far as (
            partition by changes_by_day.agent_id order by changes_by_day.change_date
            rows between unbounded preceding and current row
        )
),

-- What stands open is worth what it is worth on that day: per currency, then at the day's rate.
converted as (
    select
        levels.agent_id,
        levels.change_date,
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
    from levels
    inner join currency_snapshots
        on
            levels.agent_id = currency_snapshots.agent_id
            and levels.change_date = currency_snapshots.snapshot_date
    left join rates
        on
            currency_snapshots.currency = rates.currency
            and currency_snapshots.snapshot_date = rates.snapshot_date
    group by levels.agent_id, levels.change_date
),

rounded as (
    select
        agents.agent_id,
        agents.agent_name,
        agents.from_date,
        levels.change_date,
        levels.next_change_date,
        {{ count_of('levels.deals_open') }} as deals_open,
        {{ count_of('levels.deals_closed_won') }} as deals_closed_won,
        {{ count_of('levels.deals_closed_lost') }} as deals_closed_lost,
        {{ count_of('levels.deals_cancelled') }} as deals_cancelled,
        {{ money_total('coalesce(converted.gross_pipeline_value, 0)') }} as gross_pipeline_value,
        {{ money_total('coalesce(converted.weighted_pipeline_value, 0)') }} as weighted_pipeline_value,
        {{ money_total('coalesce(converted.value_without_confidence, 0)') }} as value_without_confidence,
        {{ count_of('coalesce(converted.unconverted_count, 0)') }} as unconverted_count,
        {{ money_total('levels.won_value') }} as won_value,
        {{ money_total('levels.lost_value') }} as lost_value,
        {{ count_of('levels.won_value_n') }} as won_value_n,
        {{ count_of('levels.closed_unconverted_count') }} as closed_unconverted_count,
        levels.cycle_microseconds,
        -- The last median stands while there are won deals.
        case when levels.deals_closed_won > 0 then levels.median_cycle_days end as median_cycle_days,
        {{ money_total('levels.confirmed_commission_amount') }} as confirmed_commission_amount,
        {{ money_total('coalesce(converted.disputed_commission_amount, 0)') }} as disputed_commission_amount,
        {{ count_of('levels.unconverted_commissions + coalesce(converted.unconverted_disputes, 0)') }}
            as commission_unconverted_count,
        {{ count_of('levels.days_not_open - coalesce(days_before.open_days, 0)') }} as days_not_open
    from levels
    inner join agents on levels.agent_id = agents.agent_id
    left join days_before on levels.agent_id = days_before.agent_id
    left join converted on levels.agent_id = converted.agent_id and levels.change_date = converted.change_date
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
        {{ divide('won_value', 'won_value_n') }} as exact_won_value,
        {{ divide('confirmed_commission_amount', 'won_value') }} as commission_yield,
        {{ divide('confirmed_commission_amount', 'deals_closed_won') }} as revenue_per_won_deal
    from rounded
),

measured as (
    select
        *,
        {{ money_total('exact_won_value') }} as avg_won_value,
        case
            when cycle_n >= 5
                then deals_open * exact_won_value * conversion_rate / nullif(avg_cycle_days, 0)
        end as sales_velocity_per_day
    from rated
),

agent_days as (
    select
        *,
        {{ each_day_until('change_date', 'next_change_date') }} as snapshot_date
    from measured
),

lived as (
    select
        *,
        deals_open * ({{ dbt.datediff('from_date', 'snapshot_date', 'day') }} + 1) - days_not_open as open_days
    from agent_days
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
        avg_won_value,
        sales_velocity_per_day,
        confirmed_commission_amount,
        disputed_commission_amount,
        commission_unconverted_count,
        commission_yield,
        revenue_per_won_deal,
        open_days,
        {{ divide('confirmed_commission_amount', 'open_days') }} as revenue_per_open_day,
        {{ provenance() }}
    from lived
)

select * from final
