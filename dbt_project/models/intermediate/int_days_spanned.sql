-- Every day from the first of which anything is known to the day asked about.
with deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

first_days as (
    select min(valid_from_date) as first_date from deal_revisions
    union all
    select min(valid_from_date) as first_date from commission_revisions
),

first_day as (
    select min(first_date) as first_date from first_days
),

final as (
    select {{ each_day('first_date', as_of_date()) }} as snapshot_date
    from first_day
)

select * from final
