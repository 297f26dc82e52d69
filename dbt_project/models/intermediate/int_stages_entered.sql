{{ config(
    materialized='incremental',
    unique_key='deal_id', meta={'recomputed': 'int_deals_touched'}
) }}

with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

all_stages_visited as (
    select * from {{ ref('int_stages_visited') }}
),

stages_visited as (
    select * from all_stages_visited
    {% if var('built_log_size') %}
        where
            deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
    {% endif %}
),

all_deals as (
    select * from {{ ref('int_deals_standing') }}
),

deals as (
    select * from all_deals
    {% if var('built_log_size') %}
        where
            deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
    {% endif %}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

visits as (
    select
        stages_visited.deal_id,
        stages_visited.visit,
        stages_visited.stage,
        stages_visited.entered_at,
        stages_visited.agent_id,
        pipeline_stages.stage_order,
        pipeline_stages.is_open
    from stages_visited
    inner join pipeline_stages on stages_visited.stage = pipeline_stages.stage
),

-- A stage that is entered again was entered once: with its first visit.
first_visits as (
    select
        deal_id,
        stage,
        min(visit) as visit
    from visits
    where is_open
    group by deal_id, stage
),

entries as (
    select
        visits.deal_id,
        visits.visit,
        visits.stage,
        visits.stage_order,
        visits.entered_at,
        visits.agent_id
    from visits
    inner join first_visits on visits.deal_id = first_visits.deal_id and visits.visit = first_visits.visit
),

-- Any later stage will do, so a stage that is skipped counts as reached; losing the deal reaches nothing.
reached as (
    select
        entries.deal_id,
        entries.stage,
        min(later_visits.entered_at) as reached_at
    from entries
    inner join visits as later_visits
        on
            entries.deal_id = later_visits.deal_id
            and entries.visit < later_visits.visit
            and entries.stage_order < later_visits.stage_order
    where later_visits.stage <> 'closed_lost'
    group by entries.deal_id, entries.stage
),

final as (
    select
        entries.deal_id,
        entries.stage,
        entries.stage_order,
        entries.agent_id,
        deals.asset_type,
        deals.deal_type,
        deals.status,
        entries.entered_at,
        {{ first_of_month(business_date('entries.entered_at')) }} as cohort_month,
        {{ microseconds_between('entries.entered_at', 'reached.reached_at') }} as microseconds_to_reach
    from entries
    inner join deals on entries.deal_id = deals.deal_id
    left join reached on entries.deal_id = reached.deal_id and entries.stage = reached.stage
)

select * from final
