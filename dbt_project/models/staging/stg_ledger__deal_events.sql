with source as (
    select * from {{ source('raw', 'deal_events') }}
),

in_scope as (
    select
        n,
        deal_id,
        event_type,
        agent_id,
        asset_type,
        deal_type,
        lead_source,
        estimated_value_amount,
        estimated_value_currency,
        expected_close_date,
        actual_close_date,
        confidence,
        external_ref,
        project_id,
        property_id,
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
