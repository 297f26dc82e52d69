with source as (
    select * from {{ source('raw', 'fx_rates') }}
),

into_reporting_currency as (
    select
        reference_id,
        from_currency as currency,
        rate,
        effective_date,
        source as rate_source
    from source
    where
        to_currency = {{ reporting_currency() }}
        and effective_date <= {{ as_of_date() }}
)

select * from into_reporting_currency
