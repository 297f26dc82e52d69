with agent_costs as (
    select * from {{ ref('stg_reference__agent_costs') }}
),

roi_metrics as (
    select * from {{ ref('stg_reference__roi_metrics') }}
),

-- The feed speaks where the books are silent: never of an agent, source and month for which they state a cost.
feed_of_agents as (
    select roi_metrics.*
    from roi_metrics
    left join agent_costs
        on
            roi_metrics.agent_email = agent_costs.agent_email
            and roi_metrics.lead_source = agent_costs.lead_source
            and roi_metrics.cost_month = agent_costs.cost_month
    where roi_metrics.agent_email is not null and agent_costs.agent_email is null
),

costs_of_agents as (
    select
        agent_email,
        cost_month,
        lead_source,
        amount,
        currency,
        false as is_from_feed
    from agent_costs
    union all
    select
        agent_email,
        cost_month,
        lead_source,
        amount,
        currency,
        true as is_from_feed
    from feed_of_agents
),

-- A figure for the whole agency would count again what is stated agent by agent, so it stands where nothing finer does.
feed_of_agency as (
    select roi_metrics.*
    from roi_metrics
    left join costs_of_agents
        on
            roi_metrics.lead_source = costs_of_agents.lead_source
            and roi_metrics.cost_month = costs_of_agents.cost_month
    where roi_metrics.agent_email is null and costs_of_agents.agent_email is null
),

united as (
    select * from costs_of_agents
    union all
    select
        agent_email,
        cost_month,
        lead_source,
        amount,
        currency,
        true as is_from_feed
    from feed_of_agency
)

select * from united
