with source as (
    select * from {{ source('raw', 'targets') }}
),

-- A target that is revised stands until the day from which its revision does.
known_that_day as (
    select
        reference_id,
        agent_email,
        amount,
        currency,
        effective_date,
        source as target_source,
        {{ first_day_of_quarter('quarter') }} as quarter_start,
        row_number() over (
            partition by agent_email, quarter, currency order by effective_date desc
        ) as revisions_from_last
    from source
    where effective_date <= {{ as_of_date() }}
),

in_force as (
    select
        reference_id,
        agent_email,
        quarter_start,
        amount,
        currency,
        effective_date,
        target_source
    from known_that_day
    where revisions_from_last = 1
)

select * from in_force
