with source as (
    select * from {{ source('raw', 'deal_commissions') }}
),

-- An amount that is corrected stands until the day from which its correction does.
known_that_day as (
    select
        reference_id,
        deal,
        item,
        amount,
        currency,
        effective_date,
        source as amount_source,
        row_number() over (partition by deal, item order by effective_date desc) as revisions_from_last
    from source
    where effective_date <= {{ as_of_date() }}
),

in_force as (
    select
        reference_id,
        deal,
        item,
        amount,
        currency,
        effective_date,
        amount_source
    from known_that_day
    where revisions_from_last = 1
)

select * from in_force
