-- How long a status lasts that has not ended is a matter of the day asked about, so it is not stored.
{{ config(materialized='view') }}

with visits as (
    select * from {{ ref('int_commission_statuses_held') }}
),

final as (
    select
        commission_id,
        visit,
        deal_id,
        agent_id,
        status,
        status_before,
        entered_by,
        entered_at,
        entered_date,
        left_at,
        next_status,
        left_at is null as is_current,
        case
            when left_at is not null then {{ days_of(microseconds_between('entered_at', 'left_at')) }}
            when status not in ('paid', 'written_off')
                then {{ days_of(microseconds_between('entered_at', end_of_as_of_day())) }}
        end as duration_days,
        {{ provenance() }}
    from visits
)

select * from final
