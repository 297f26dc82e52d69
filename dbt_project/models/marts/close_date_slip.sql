-- How long an open deal is overdue is a matter of the day asked about, so it is not stored.
{{ config(materialized='view') }}

with close_dates as (
    select * from {{ ref('int_close_dates_moved') }}
),

final as (
    select
        deal_id,
        agent_id,
        credited_agent_id,
        status,
        first_expected_date,
        last_expected_date,
        closed_date,
        pushes,
        pulls,
        days_pushed,
        days_slipped,
        days_late_at_close,
        case
            when status = 'open' and expected_close_date is not null
                then greatest({{ count_of(dbt.datediff('expected_close_date', as_of_date(), 'day')) }}, 0)
        end as days_overdue,
        {{ provenance() }}
    from close_dates
)

select * from final
