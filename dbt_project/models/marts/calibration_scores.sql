with confidence_calibration as (
    select * from {{ ref('confidence_calibration') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

-- What people stated is scored for all, by stage and by agent; what the stages' defaults assumed, apart.
scored as (
    select
        'team' as scope,
        cast(null as {{ dbt.type_string() }}) as agent_id,
        cast(null as {{ dbt.type_string() }}) as stage,
        confidence_bin,
        confidence,
        is_won
    from confidence_calibration
    where not is_confidence_default
    union all
    select
        'stage' as scope,
        null as agent_id,
        stage,
        confidence_bin,
        confidence,
        is_won
    from confidence_calibration
    where not is_confidence_default
    union all
    select
        'agent' as scope,
        agent_id,
        null as stage,
        confidence_bin,
        confidence,
        is_won
    from confidence_calibration
    where not is_confidence_default
    union all
    select
        'stage_default' as scope,
        null as agent_id,
        stage,
        confidence_bin,
        confidence,
        is_won
    from confidence_calibration
    where is_confidence_default
),

-- Sums of decimals are exact, whatever their order.
totals as (
    select
        scope,
        agent_id,
        stage,
        confidence_bin,
        count(*) as n,
        sum(case when is_won then 1 else 0 end) as won_n,
        sum(confidence) as confidence_sum,
        sum((confidence - case when is_won then 1 else 0 end) * (confidence - case when is_won then 1 else 0 end))
            as squared_error_sum
    from scored
    group by
        grouping sets (
            (scope, agent_id, stage), (scope, agent_id, stage, confidence_bin)
        )
),

final as (
    select
        totals.scope,
        totals.agent_id,
        agents.agent_name,
        totals.stage,
        totals.confidence_bin,
        totals.n,
        case when totals.n >= 20 then {{ count_of('totals.won_n') }} end as won_n,
        case when totals.n >= 20 then {{ divide('totals.confidence_sum', 'totals.n') }} end as mean_confidence,
        case when totals.n >= 20 then {{ divide('totals.won_n', 'totals.n') }} end as won_share,
        case when totals.n >= 20 then {{ divide('totals.squared_error_sum', 'totals.n') }} end as brier_score,
        {{ provenance() }}
    from totals
    left join agents on totals.agent_id = agents.agent_id
)

select * from final
