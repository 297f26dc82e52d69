-- A cohort stays as it was built before unless one of its deals has a new entry or was pending and is no longer.
{{ config(
    materialized='incremental',
    unique_key=['agent_id', 'cohort_month'], meta={'recomputed': 'int_cohorts_recomputed'}
) }}

with cohorts_recomputed as (
    select * from {{ ref('int_cohorts_recomputed') }}
),

all_stages_entered as (
    select * from {{ ref('int_stages_entered') }}
),

stages_entered as (
    select all_stages_entered.* from all_stages_entered
    {% if var('built_log_size') %}
        inner join cohorts_recomputed
            on
                all_stages_entered.agent_id = cohorts_recomputed.agent_id
                and all_stages_entered.cohort_month = cohorts_recomputed.cohort_month
    {% endif %}
),

judged as (
    select
        *,
        coalesce(microseconds_to_reach <= {{ conversion_window() }}, false) as is_reached,
        status = 'open' and {{ is_within_conversion_window('entered_at', end_of_as_of_day()) }} as may_still_reach
    from stages_entered
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
