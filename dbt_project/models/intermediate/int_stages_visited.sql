{{ config(
    materialized='incremental',
    unique_key='deal_id', meta={'recomputed': 'int_deals_touched'}
) }}

with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

all_deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

deal_revisions as (
    select * from all_deal_revisions
    {% if var('built_log_size') %}
        where
            deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
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
        row_number() over (partition by visits.deal_id order by visits.entered_at, visits.n) as visit,
        visits.left_at is null and pipeline_stages.is_open as still_lasts,
        {{ microseconds_between('visits.entered_at', 'visits.left_at') }} as ended_microseconds
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
        measured.next_stage,
        measured.still_lasts,
        measured.ended_microseconds,
        {{ count_of(
            'sum(measured.ended_microseconds) over (
                partition by measured.deal_id, measured.stage order by measured.visit
                rows between unbounded preceding and current row
            )'
        ) }} as cumulative_ended_microseconds,
        deal_revisions.agent_id,
        {{ provenance() }}
    from measured
    inner join deal_revisions on measured.n = deal_revisions.n
)

select * from final
