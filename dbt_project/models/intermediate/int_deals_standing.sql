{{ config(
    materialized='incremental',
    unique_key='deal_id', meta={'recomputed': 'int_deals_touched'}
) }}

with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

stages_visited as (
    select * from {{ ref('int_stages_visited') }}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

as_of_now as (
    select * from deal_revisions
    where
        valid_to is null
        {% if var('built_log_size') %}
            and deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
        {% endif %}
),

last_visits as (
    select
        deal_id,
        max(entered_at) as stage_entered_at
    from stages_visited
    {% if var('built_log_size') %}
        where
            deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
    {% endif %}
    group by deal_id
),

final as (
    select
        as_of_now.deal_id,
        as_of_now.external_ref,
        as_of_now.agent_id,
        as_of_now.credited_agent_id,
        as_of_now.asset_type,
        as_of_now.deal_type,
        as_of_now.pipeline_stage,
        as_of_now.status,
        as_of_now.lead_source,
        as_of_now.estimated_value_amount,
        as_of_now.estimated_value_currency,
        as_of_now.confidence,
        coalesce(as_of_now.confidence, pipeline_stages.default_confidence) as effective_confidence,
        as_of_now.confidence is null as is_confidence_default,
        as_of_now.expected_close_date,
        as_of_now.actual_close_date,
        as_of_now.opened_at,
        {{ business_date('as_of_now.opened_at') }} as opened_date,
        as_of_now.closed_at,
        as_of_now.closed_date,
        rates.rate as close_rate,
        last_visits.stage_entered_at,
        case when as_of_now.status = 'open' then {{ count_of('pipeline_stages.limit_days') }} end as stage_limit_days,
        case
            when as_of_now.status = 'closed_won'
                then {{ days_of(microseconds_between('as_of_now.opened_at', 'as_of_now.closed_at')) }}
        end as cycle_days,
        {{ provenance() }}
    from as_of_now
    inner join pipeline_stages on as_of_now.pipeline_stage = pipeline_stages.stage
    inner join last_visits on as_of_now.deal_id = last_visits.deal_id
    left join rates
        on
            as_of_now.estimated_value_currency = rates.currency
            and as_of_now.closed_date = rates.snapshot_date
)

select * from final
