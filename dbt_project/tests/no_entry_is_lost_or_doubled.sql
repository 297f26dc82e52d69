-- Joins neither drop nor fan out: every entry about a deal is one revision, every deal one row, and so for commissions.
with counts as (
    select
        'deal_revisions' as model,
        (select count(*) from {{ ref('stg_ledger__deal_events') }}) as expected,
        (select count(*) from {{ ref('deal_revisions') }}) as found
    union all
    select
        'deals' as model,
        (select count(distinct deal_id) from {{ ref('stg_ledger__deal_events') }}) as expected,
        (select count(*) from {{ ref('deals') }}) as found
    union all
    select
        'stage_visits' as model,
        (select count(distinct deal_id) from {{ ref('stg_ledger__stage_events') }}) as expected,
        (select count(distinct deal_id) from {{ ref('stage_visits') }}) as found
    union all
    select
        'commissions' as model,
        (select count(distinct commission_id) from {{ ref('stg_ledger__commission_events') }}) as expected,
        (select count(*) from {{ ref('commissions') }}) as found
    union all
    select
        'commission_status_history' as model,
        (select count(*) from {{ ref('commissions') }}) as expected,
        (select count(*) - count(left_at) from {{ ref('commission_status_history') }}) as found
    union all
    select
        'payout_velocity' as model,
        (select count(confirmed_at) from {{ ref('commissions') }}) as expected,
        (
            select coalesce(sum(n + out_of_order_n), 0)
            from {{ ref('payout_velocity') }}
            where agent_id is not null and step = 'introduced_to_confirmed'
        ) as found
    union all
    select
        'close_date_slip' as model,
        (
            select count(distinct deal_id) from {{ ref('deal_revisions') }}
            where expected_close_date is not null
        ) as expected,
        (select count(*) from {{ ref('close_date_slip') }}) as found
    union all
    select
        'stage_conversion' as model,
        (
            select count(distinct visits.deal_id || visits.stage)
            from {{ ref('stage_visits') }} as visits
            inner join {{ ref('pipeline_stages') }} as stages on visits.stage = stages.stage
            where stages.is_open
        ) as expected,
        (select coalesce(sum(entered_n), 0) from {{ ref('stage_conversion') }}) as found
)

select * from counts
where expected <> found
