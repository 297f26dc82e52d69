-- Days before the first one to compute stay as they were built before.
-- depends_on: {{ ref('int_agents_recomputed') }}
{{ config(
    materialized='incremental',
    unique_key=['agent_id', 'snapshot_date'], meta={'recomputed': 'int_agents_recomputed'}
) }}

with all_deal_changes as (
    select * from {{ ref('int_deal_changes_daily') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

deal_changes as (
    select
        agent_id,
        stage,
        currency,
        change_date,
        deals,
        valued_deals,
        amount,
        weighted_amount
    from all_deal_changes
    where status = 'open'
),

-- What is in the reporting currency changes when deals do. In another one it is worth the day's rate, so the first day
-- of a rate is one with a change, too: days between changes need not be looked at one by one.
rate_starts as (
    select
        currency,
        snapshot_date as start_date
    from (
        select
            *,
            lag(rate) over (partition by currency order by snapshot_date) as rate_before
        from rates
    ) as compared_rates
    where rate_before is null or rate <> rate_before
),

foreign_changes as (
    select * from deal_changes
    where currency is null or currency <> {{ reporting_currency() }}
),

foreign_changes_and_rates as (
    select * from foreign_changes
    union all
    select
        held.agent_id,
        held.stage,
        held.currency,
        greatest(rate_starts.start_date, held.first_change_date) as change_date,
        0 as deals,
        0 as valued_deals,
        0 as amount,
        0 as weighted_amount
    from (
        select
            agent_id,
            stage,
            currency,
            min(change_date) as first_change_date
        from foreign_changes
        group by agent_id, stage, currency
    ) as held
    inner join rate_starts on held.currency = rate_starts.currency
),

foreign_by_day as (
    select
        agent_id,
        stage,
        currency,
        change_date,
        sum(deals) as deals,
        sum(valued_deals) as valued_deals,
        sum(amount) as amount,
        sum(weighted_amount) as weighted_amount
    from foreign_changes_and_rates
    group by agent_id, stage, currency, change_date
),

foreign_levels as (
    select
        agent_id,
        stage,
        currency,
        change_date,
        lead(change_date) over changes as next_change_date,
        sum(deals) over so_far as deals,
        sum(valued_deals) over so_far as valued_deals,
        sum(amount) over so_far as amount,
        sum(weighted_amount) over so_far as weighted_amount
    from foreign_by_day
    window
        changes as (partition by agent_id, stage, currency order by change_date),
        so_far as (
            partition by agent_id, stage, currency order by change_date
            rows between unbounded preceding and current row
        )
),

converted as (
    select
        foreign_levels.agent_id,
        foreign_levels.stage,
        foreign_levels.change_date,
        foreign_levels.next_change_date,
        foreign_levels.deals,
        {{ convert('foreign_levels.amount', 'foreign_levels.currency', 'rates.rate') }} as amount,
        {{ convert('foreign_levels.weighted_amount', 'foreign_levels.currency', 'rates.rate') }} as weighted_amount,
        case when rates.rate is null then foreign_levels.valued_deals else 0 end as unconverted
    from foreign_levels
    left join rates
        on foreign_levels.currency = rates.currency and foreign_levels.change_date = rates.snapshot_date
),

converted_changes as (
    select
        agent_id,
        stage,
        change_date,
        deals,
        cast(amount as {{ type_exact_total() }}) as amount,
        cast(weighted_amount as {{ type_exact_total() }}) as weighted_amount,
        0 as unconverted
    from deal_changes
    where currency = {{ reporting_currency() }}
    union all
    select
        agent_id,
        stage,
        change_date,
        deals,
        amount,
        weighted_amount,
        unconverted
    from converted
    union all
    select
        agent_id,
        stage,
        next_change_date as change_date,
        -deals as deals,
        -amount as amount,
        -weighted_amount as weighted_amount,
        -unconverted as unconverted
    from converted
    where next_change_date is not null
),

converted_by_day as (
    select
        agent_id,
        stage,
        change_date,
        sum(deals) as deals,
        coalesce(sum(amount), 0) as amount,
        coalesce(sum(weighted_amount), 0) as weighted_amount,
        sum(unconverted) as unconverted
    from converted_changes
    group by agent_id, stage, change_date
),

-- What stands from one change to the next.
levels as (
    select
        agent_id,
        stage,
        change_date,
        lead(change_date) over changes as next_change_date,
        sum(deals) over so_far as deals_open,
        sum(amount) over so_far as gross_pipeline_value,
        sum(weighted_amount) over so_far as weighted_pipeline_value,
        sum(unconverted) over so_far as unconverted_count
    from converted_by_day
    window
        changes as (partition by agent_id, stage order by change_date),
        so_far as (
            partition by agent_id, stage order by change_date rows between unbounded preceding and current row
        )
),

rounded as (
    select
        agent_id,
        stage,
        change_date,
        next_change_date,
        {{ count_of('deals_open') }} as deals_open,
        {{ money_total('gross_pipeline_value') }} as gross_pipeline_value,
        {{ money_total('weighted_pipeline_value') }} as weighted_pipeline_value,
        {{ count_of('unconverted_count') }} as unconverted_count
    from levels
    where deals_open > 0
),

final as (
    select
        agent_id,
        stage,
        {{ each_day_until('change_date', 'next_change_date') }} as snapshot_date,
        deals_open,
        gross_pipeline_value,
        weighted_pipeline_value,
        unconverted_count,
        {{ provenance() }}
    from rounded
)

select * from final
