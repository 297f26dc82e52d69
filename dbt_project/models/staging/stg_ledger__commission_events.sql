with source as (
    select * from {{ source('raw', 'commission_events') }}
),

in_scope as (
    select
        n,
        commission_id,
        deal_id,
        event_type,
        agent_id,
        commission_type,
        basis_amount,
        basis_currency,
        commission_rate,
        commission_amount,
        from_status,
        to_status,
        cleared,
        recorded_at,
        effective_at,
        {{ business_date('effective_at') }} as effective_date
    from source
    where
        n < {{ log_size() }}
        and effective_at < {{ end_of_as_of_day() }}
)

select * from in_scope
