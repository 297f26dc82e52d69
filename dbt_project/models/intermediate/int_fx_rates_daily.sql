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

final as (
    select
        rate_spans.currency,
        days.snapshot_date,
        rate_spans.rate
    from rate_spans
    inner join days
        on
            rate_spans.effective_date <= days.snapshot_date
            and (rate_spans.next_effective_date is null or rate_spans.next_effective_date > days.snapshot_date)
    union all
    select
        {{ reporting_currency() }} as currency,
        snapshot_date,
        cast(1 as decimal(18, 8)) as rate
    from days
)

select * from final
