with source as (
    select * from {{ source('raw', 'stage_events') }}
),

in_scope as (
    select
        n,
        deal_id,
        stage_event_id,
        event_type,
        to_stage,
        recorded_at,
        effective_at,
        {{ business_date('effective_at') }} as effective_date
    from source
    where
        n < {{ log_size() }}
        and effective_at < {{ end_of_as_of_day() }}
)

select * from in_scope
