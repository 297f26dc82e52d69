-- How long a visit lasts that has not ended is a matter of the day asked about, so it is not stored.
{{ config(materialized='view') }}

with visits as (
    select * from {{ ref('int_stages_visited') }}
),

measured as (
    select
        *,
        case when still_lasts then {{ microseconds_between('entered_at', end_of_as_of_day()) }} end
            as lasting_microseconds
    from visits
),

final as (
    select
        deal_id,
        visit,
        stage,
        entered_at,
        left_at,
        {{ divide('coalesce(ended_microseconds, lasting_microseconds)', 1000000) }} as duration_seconds,
        left_at is null as is_current,
        next_stage,
        {{ divide(
            'case
                when still_lasts then coalesce(cumulative_ended_microseconds, 0) + lasting_microseconds
                else cumulative_ended_microseconds
            end',
            1000000
        ) }} as cumulative_seconds,
        agent_id,
        {{ provenance() }}
    from measured
)

select * from final
