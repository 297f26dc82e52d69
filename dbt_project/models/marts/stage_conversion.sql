with stages_entered as (
    select * from {{ ref('int_stages_entered') }}
),

timed as (
    select
        *,
        {{ microseconds_between('entered_at', end_of_as_of_day()) }} as age_microseconds,
        {{ var('conversion_window_days') }} * cast(86400000000 as {{ dbt.type_bigint() }}) as window_microseconds
    from stages_entered
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
