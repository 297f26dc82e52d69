-- Joins neither drop nor fan out: every entry about a deal is one revision, every deal one row, and so for commissions.
with open_stages as (
    select stage from {{ ref('pipeline_stages') }}
    where is_open
),

climbs as (
    select
        stages.stage,
        later_stages.stage as next_stage
    from {{ ref('pipeline_stages') }} as stages
    inner join {{ ref('pipeline_stages') }} as later_stages on stages.stage_order < later_stages.stage_order
),

-- Only a deal that did not always climb can have entered a stage twice, so only its visits need be told apart.
deals_that_turned as (
    select distinct visits.deal_id
    from {{ ref('stage_visits') }} as visits
    left join climbs on visits.stage = climbs.stage and visits.next_stage = climbs.next_stage
    where
        visits.next_stage is not null
        and climbs.stage is null
),

entered_again as (
    select count(*) - count(distinct deal_id || stage) as visits
    from {{ ref('stage_visits') }}
    where
        stage in (select open_stages.stage from open_stages)
        and deal_id in (select deals_that_turned.deal_id from deals_that_turned)
),

counts as (
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
        (select count(*) from {{ ref('deals') }}) as expected,
        (
            select count(*) from {{ ref('stage_visits') }}
            where visit = 1
        ) as found
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
            select count(*) from {{ ref('stage_visits') }}
            where stage in (select open_stages.stage from open_stages)
        ) - (select visits from entered_again) as expected,
        (select coalesce(sum(entered_n), 0) from {{ ref('stage_conversion') }}) as found
)

select * from counts
where expected <> found
