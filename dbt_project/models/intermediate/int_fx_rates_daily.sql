with rates as (
    select * from {{ ref('stg_reference__fx_rates') }}
),

days as (
    select * from {{ ref('int_days_spanned') }}
),

rate_spans as (
    select
        currency,
        rate,
        effective_date,
        lead(effective_date) over (partition by currency order by effective_date) as next_effective_date
    from rates
),

-- Every day since the first rate, for what is dated before the first entry: a cost is of its whole month.
final as (
    select
        currency,
        {{ each_day_until('effective_date', 'next_effective_date') }} as snapshot_date,
        rate
    from rate_spans
    union all
    select
        {{ reporting_currency() }} as currency,
        snapshot_date,
        cast(1 as decimal(18, 8)) as rate
    from days
)

select * from final
