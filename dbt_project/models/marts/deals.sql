-- How long an open deal has stood, and what it is worth, is a matter of the day asked about, so it is not stored.
-- Nor is its owner's name, which may change though nothing happens to the deal itself.
{{ config(materialized='view') }}

with deals as (
    select * from {{ ref('int_deals_standing') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

rates_of_the_day as (
    select
        currency,
        rate
    from rates
    where snapshot_date = {{ as_of_date() }}
),

measured as (
    select
        deals.*,
        agents.agent_name,
        case when deals.closed_date is null then rates_of_the_day.rate else deals.close_rate end as rate,
        case
            when deals.status = 'open'
                then {{ microseconds_between('deals.stage_entered_at', end_of_as_of_day()) }}
        end as microseconds_in_stage
    from deals
    inner join agents on deals.agent_id = agents.agent_id
    left join rates_of_the_day on deals.estimated_value_currency = rates_of_the_day.currency
),

final as (
    select
        deal_id,
        external_ref,
        agent_id,
        agent_name,
        credited_agent_id,
        asset_type,
        deal_type,
        pipeline_stage,
        status,
        lead_source,
        estimated_value_amount,
        estimated_value_currency,
        {{ convert_amount('estimated_value_amount', 'estimated_value_currency', 'rate') }} as value_reporting,
        confidence,
        effective_confidence,
        is_confidence_default,
        expected_close_date,
        actual_close_date,
        opened_at,
        opened_date,
        closed_at,
        closed_date,
        stage_entered_at,
        {{ days_of('microseconds_in_stage') }} as days_in_stage,
        stage_limit_days,
        microseconds_in_stage > stage_limit_days * cast(86400000000 as {{ dbt.type_bigint() }}) as is_rotting,
        cycle_days,
        {{ provenance() }}
    from measured
)

select * from final
