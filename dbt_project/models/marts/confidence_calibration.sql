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

deals as (
    select * from {{ ref('deals') }}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

decided as (
    select
        deal_id,
        credited_agent_id,
        closed_at,
        closed_date,
        case when status = 'closed_won' then 1 else 0 end as won,
        {{ dbt.dateadd('day', -30, 'closed_at') }} as judged_at
    from deals
    where
        status in ('closed_won', 'closed_lost')
        {% if var('built_log_size') %}
            and deal_id in (select deals_touched.deal_id from deals_touched)
        {% endif %}
),

-- The revision in force 30 days before the close, if the deal was open by then.
judged as (
    select
        decided.deal_id,
        decided.credited_agent_id,
        decided.closed_at,
        decided.closed_date,
        decided.judged_at,
        decided.won,
        deal_revisions.agent_id as judging_agent_id,
        deal_revisions.pipeline_stage as stage,
        coalesce(deal_revisions.confidence, pipeline_stages.default_confidence) as confidence,
        deal_revisions.confidence is null as is_confidence_default
    from decided
    inner join deal_revisions
        on
            decided.deal_id = deal_revisions.deal_id
            and decided.judged_at >= deal_revisions.valid_from
            and (deal_revisions.valid_to is null or decided.judged_at < deal_revisions.valid_to)
    inner join pipeline_stages on deal_revisions.pipeline_stage = pipeline_stages.stage
    where deal_revisions.status = 'open'
),

final as (
    select
        deal_id,
        judging_agent_id as agent_id,
        credited_agent_id,
        stage,
        judged_at,
        closed_at,
        closed_date,
        confidence,
        is_confidence_default,
        {{ confidence_bin('confidence') }} as confidence_bin,
        won = 1 as is_won,
        cast((confidence - won) * (confidence - won) as {{ type_double() }}) as squared_error,
        {{ provenance() }}
    from judged
)

select * from final
