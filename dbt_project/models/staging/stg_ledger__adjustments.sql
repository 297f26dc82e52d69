with source as (
    select * from {{ source('raw', 'adjustments') }}
),

in_scope as (
    select
        n,
        adjustment_id,
        commission_id,
        deal_id,
        adjustment_type,
        amount,
        currency,
        recorded_at,
        effective_at,
        {{ business_date('effective_at') }} as effective_date
    from source
    where
        n < {{ log_size() }}
        and effective_at < {{ end_of_as_of_day() }}
)

select * from in_scope
