with targets as (
    select * from {{ ref('stg_reference__targets') }}
),

agents_by_email as (
    select * from {{ ref('int_agents_by_email') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

deals as (
    select * from {{ ref('deals') }}
),

snapshots as (
    select * from {{ ref('agent_performance_snapshots') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

-- Targets of the quarter in which the day asked about lies, at that day's rate; null agent: the whole agency.
converted as (
    select
        agents_by_email.agent_id,
        {{ convert('targets.amount', 'targets.currency', 'rates.rate') }} as amount
    from targets
    left join agents_by_email on targets.agent_email = agents_by_email.email
    left join rates
        on targets.currency = rates.currency and rates.snapshot_date = {{ as_of_date() }}
    where
        targets.quarter_start = {{ first_of_quarter(as_of_date()) }}
        and (targets.agent_email is null or agents_by_email.agent_id is not null)
),

-- A target of which a part cannot be converted is not known.
quarter_targets as (
    select
        agent_id,
        case when count(*) = count(amount) then {{ money_total('sum(amount)') }} end as target_amount
    from converted
    group by agent_id
),

won_in_quarter as (
    select
        credited_agent_id as agent_id,
        sum(value_reporting) as won_value
    from deals
    where
        status = 'closed_won'
        and closed_date >= {{ first_of_quarter(as_of_date()) }}
    group by credited_agent_id
),

by_agent as (
    select
        agents.agent_id,
        agents.agent_name,
        coalesce(snapshots.weighted_pipeline_value, 0) as weighted_pipeline_value,
        coalesce(snapshots.unconverted_count, 0) as unconverted_count,
        coalesce(won_in_quarter.won_value, 0) as won_value
    from agents
    left join snapshots
        on agents.agent_id = snapshots.agent_id and snapshots.snapshot_date = {{ as_of_date() }}
    left join won_in_quarter on agents.agent_id = won_in_quarter.agent_id
),

with_team as (
    select
        agent_id,
        agent_name,
        weighted_pipeline_value,
        unconverted_count,
        won_value
    from by_agent
    union all
    select
        null as agent_id,
        null as agent_name,
        sum(weighted_pipeline_value) as weighted_pipeline_value,
        sum(unconverted_count) as unconverted_count,
        sum(won_value) as won_value
    from by_agent
    having count(*) > 0
),

targeted as (
    select
        with_team.*,
        quarter_targets.target_amount,
        greatest(quarter_targets.target_amount - with_team.won_value, 0) as remaining_amount
    from with_team
    left join quarter_targets on with_team.agent_id is not distinct from quarter_targets.agent_id
),

final as (
    select
        agent_id,
        agent_name,
        {{ first_of_quarter(as_of_date()) }} as quarter_start,
        {{ reporting_currency() }} as reporting_currency,
        target_amount,
        {{ money_total('won_value') }} as won_value,
        case when target_amount is not null then {{ money_total('remaining_amount') }} end as remaining_amount,
        {{ money_total('weighted_pipeline_value') }} as weighted_pipeline_value,
        {{ count_of('unconverted_count') }} as unconverted_count,
        case when target_amount is not null then {{ divide('weighted_pipeline_value', 'remaining_amount') }} end
            as pipeline_coverage,
        {{ provenance() }}
    from targeted
)

select * from final
