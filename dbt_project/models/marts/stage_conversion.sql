with stage_visits as (
    select * from {{ ref('stage_visits') }}
),

deals as (
    select * from {{ ref('deals') }}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

visits as (
    select
        stage_visits.deal_id,
        stage_visits.visit,
        stage_visits.stage,
        stage_visits.entered_at,
        stage_visits.agent_id,
        pipeline_stages.stage_order,
        pipeline_stages.is_open
    from stage_visits
    inner join pipeline_stages on stage_visits.stage = pipeline_stages.stage
),

-- A stage that is entered again was entered once: with its first visit.
first_visits as (
    select
        deal_id,
        stage,
        min(visit) as visit
    from visits
    where is_open
    group by deal_id, stage
),

entries as (
    select
        visits.deal_id,
        visits.visit,
        visits.stage,
        visits.stage_order,
        visits.entered_at,
        visits.agent_id
    from visits
    inner join first_visits on visits.deal_id = first_visits.deal_id and visits.visit = first_visits.visit
),

-- Any later stage will do, so a stage that is skipped counts as reached; losing the deal reaches nothing.
reached as (
    select
        entries.deal_id,
        entries.stage,
        min(later_visits.entered_at) as reached_at
    from entries
    inner join visits as later_visits
        on
            entries.deal_id = later_visits.deal_id
            and entries.visit < later_visits.visit
            and entries.stage_order < later_visits.stage_order
    where later_visits.stage <> 'closed_lost'
    group by entries.deal_id, entries.stage
),

timed as (
    select
        entries.agent_id,
        deals.asset_type,
        deals.deal_type,
        entries.stage,
        entries.stage_order,
        deals.status,
        {{ first_of_month(business_date('entries.entered_at')) }} as cohort_month,
        {{ microseconds_between('entries.entered_at', 'reached.reached_at') }} as microseconds_to_reach,
        {{ microseconds_between('entries.entered_at', end_of_as_of_day()) }} as age_microseconds,
        {{ var('conversion_window_days') }} * cast(86400000000 as {{ dbt.type_bigint() }}) as window_microseconds
    from entries
    inner join deals on entries.deal_id = deals.deal_id
    left join reached on entries.deal_id = reached.deal_id and entries.stage = reached.stage
),

judged as (
    select
        *,
        coalesce(microseconds_to_reach <= window_microseconds, false) as is_reached,
        status = 'open' and age_microseconds < window_microseconds as may_still_reach
    from timed
),

counted as (
    select
        agent_id,
        asset_type,
        deal_type,
        stage,
        stage_order,
        cohort_month,
        count(*) as entered_n,
        {{ count_of('sum(case when is_reached then 1 else 0 end)') }} as reached_n,
        {{ count_of('sum(case when not is_reached and may_still_reach then 1 else 0 end)') }} as pending_n
    from judged
    group by agent_id, asset_type, deal_type, stage, stage_order, cohort_month
),

final as (
    select
        agent_id,
        asset_type,
        deal_type,
        stage,
        {{ count_of('stage_order') }} as stage_order,
        cohort_month,
        entered_n,
        reached_n,
        pending_n,
        {{ divide('reached_n', 'entered_n') }} as conversion_rate,
        {{ divide('entered_n - pending_n', 'entered_n') }} as maturity,
        {{ count_of(var('conversion_window_days')) }} as window_days,
        cast('first entry of the deal; any later stage but closed_lost; skipped counts' as {{ dbt.type_string() }})
            as rules,
        {{ provenance() }}
    from counted
)

select * from final
