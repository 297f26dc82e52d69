with source as (
    select * from {{ source('raw', 'roi_metrics') }}
),

-- A cost that is corrected stands until the day from which its correction does.
known_that_day as (
    select
        reference_id,
        agent_email,
        lead_source,
        cost_amount as amount,
        currency,
        effective_date,
        source as cost_source,
        {{ first_day_of_month('month') }} as cost_month,
        row_number() over (
            partition by agent_email, month, lead_source, currency order by effective_date desc
        ) as revisions_from_last
    from source
    where effective_date <= {{ as_of_date() }}
),

in_force as (
    select
        reference_id,
        agent_email,
        cost_month,
        lead_source,
        amount,
        currency,
        effective_date,
        cost_source
    from known_that_day
    where
        revisions_from_last = 1
        and cost_month <= {{ as_of_date() }}
)

select * from in_force
