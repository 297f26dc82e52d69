{{ config(
    materialized='incremental',
    unique_key=['agent_id', 'change_date'], meta={'recomputed': 'int_agents_recomputed'}
) }}

with agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

-- The days from which and until which a deal counted as won.
won_spans as (
    select
        deal_id,
        credited_agent_id as agent_id,
        {{ microseconds_between('opened_at', 'closed_at') }} as cycle_microseconds,
        min(valid_from_date) as won_date,
        case when count(*) = count(valid_to_date) then max(valid_to_date) end as reopened_date
    from deal_revisions
    where
        status = 'closed_won'
        and (valid_to_date is null or valid_to_date > valid_from_date)
    group by deal_id, credited_agent_id, opened_at, closed_at
),

-- Between two reopenings an agent's won deals only grow in number, so a running median is exact there.
segment_starts as (
    select
        agent_id,
        min(won_date) as segment_start
    from won_spans
    group by agent_id
    union distinct
    select
        agent_id,
        reopened_date as segment_start
    from won_spans
    where reopened_date is not null
),

all_segments as (
    select
        agent_id,
        segment_start,
        lead(segment_start) over (partition by agent_id order by segment_start) as segment_end
    from segment_starts
),

-- Nothing has changed before the first day to compute.
segments as (
    select
        all_segments.agent_id,
        all_segments.segment_end,
        greatest(all_segments.segment_start, agents.from_date) as segment_start
    from all_segments
    inner join agents on all_segments.agent_id = agents.agent_id
    where all_segments.segment_end is null or agents.from_date < all_segments.segment_end
),

segment_deals as (
    select
        segments.agent_id,
        segments.segment_start,
        greatest(segments.segment_start, won_spans.won_date) as change_date,
        won_spans.cycle_microseconds
    from segments
    inner join won_spans
        on
            segments.agent_id = won_spans.agent_id
            and (segments.segment_end is null or segments.segment_end > won_spans.won_date)
            and (won_spans.reopened_date is null or segments.segment_end <= won_spans.reopened_date)
),

medians as (
    select
        agent_id,
        change_date,
        {{ running_median('cycle_microseconds', 'so_far') }} as median_microseconds
    from segment_deals
    window so_far as (
        partition by agent_id, segment_start order by change_date
        range between unbounded preceding and current row
    )
),

-- Where a segment begins with no won deal left there is no median, and no row.
final as (
    select
        agent_id,
        change_date,
        {{ days_of('max(median_microseconds)') }} as median_cycle_days
    from medians
    group by agent_id, change_date
)

select * from final
