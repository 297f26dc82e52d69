{{ config(
    materialized='incremental', incremental_strategy='recomputed',
    unique_key='deal_id', meta={'recomputed': 'int_deals_recomputed'}
) }}

with deals_recomputed as (
    select * from {{ ref('int_deals_recomputed') }}
),

all_deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

deal_revisions as (
    select * from all_deal_revisions
    {% if var('built_log_size') %}
        where deal_id in (select deals_recomputed.deal_id from deals_recomputed)
    {% endif %}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

-- Cancelling ends the visit of a stage as a move does.
entries as (
    select
        deal_id,
        n,
        valid_from as entered_at,
        case when event_type = 'deal.cancelled' then 'cancelled' else pipeline_stage end as stage
    from deal_revisions
    where event_type in ('deal.opened', 'deal.stage_changed', 'deal.reopened', 'deal.cancelled')
),

compared as (
    select
        *,
        lag(stage) over (partition by deal_id order by entered_at, n) as stage_before
    from entries
),

moves as (
    select * from compared
    where stage_before is null or stage <> stage_before
),

-- The second reduction takes a move whose undoing became its neighbour by the first.
moves_once_reduced as (
    {{ without_undone_moves('moves') }}
),

standing_moves as (
    {{ without_undone_moves('moves_once_reduced') }}
),

visits as (
    select
        deal_id,
        n,
        stage,
        entered_at,
        lead(entered_at) over (partition by deal_id order by entered_at, n) as left_at,
        lead(stage) over (partition by deal_id order by entered_at, n) as next_stage
    from standing_moves
),

measured as (
    select
        visits.deal_id,
        visits.n,
        visits.stage,
        visits.entered_at,
        visits.left_at,
        visits.next_stage,
        visits.left_at is null as is_current,
        row_number() over (partition by visits.deal_id order by visits.entered_at, visits.n) as visit,
        case
            when visits.left_at is not null
                then {{ microseconds_between('visits.entered_at', 'visits.left_at') }}
            when pipeline_stages.is_open
                then {{ microseconds_between('visits.entered_at', end_of_as_of_day()) }}
        end as duration_microseconds
    from visits
    inner join pipeline_stages on visits.stage = pipeline_stages.stage
),

final as (
    select
        measured.deal_id,
        measured.visit,
        measured.stage,
        measured.entered_at,
        measured.left_at,
        {{ divide('measured.duration_microseconds', 1000000) }} as duration_seconds,
        measured.is_current,
        measured.next_stage,
        {{ divide(
            'sum(measured.duration_microseconds) over (
                partition by measured.deal_id, measured.stage order by measured.visit
                rows between unbounded preceding and current row
            )',
            1000000
        ) }} as cumulative_seconds,
        deal_revisions.agent_id,
        {{ provenance() }}
    from measured
    inner join deal_revisions on measured.n = deal_revisions.n
)

select * from final
