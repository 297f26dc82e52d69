with source as (
    select * from {{ source('raw', 'disputes') }}
),

in_scope as (
    select
        n,
        dispute_id,
        commission_id,
        deal_id,
        event_type,
        amount,
        currency,
        hold,
        outcome,
        to_status,
        recorded_at,
        effective_at,
        {{ business_date('effective_at') }} as effective_date
    from source
    where
        n < {{ log_size() }}
        and effective_at < {{ end_of_as_of_day() }}
)

select * from in_scope
