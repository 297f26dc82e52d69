with agents as (
    select * from {{ ref('int_agents_listed') }}
),

deals as (
    select * from {{ ref('deals') }}
),

-- A won deal shows its whole cycle; an open one shows only that its cycle is longer than its age.
observed as (
    select
        credited_agent_id as agent_id,
        status = 'closed_won' as is_won,
        {{ microseconds_between('opened_at', 'coalesce(closed_at, ' ~ end_of_as_of_day() ~ ')') }}
            as observed_microseconds
    from deals
    where status in ('open', 'closed_won')
),

agent_totals as (
    select
        agent_id,
        sum(case when is_won then 1 else 0 end) as won_n,
        sum(case when is_won then 0 else 1 end) as open_n,
        sum(case when is_won then observed_microseconds else 0 end) as won_microseconds,
        {{ median('case when is_won then observed_microseconds end') }} as median_microseconds
    from observed
    group by agent_id
),

by_length as (
    select
        agent_id,
        observed_microseconds,
        sum(case when is_won then 1 else 0 end) as won_now,
        sum(count(*)) over (
            partition by agent_id order by observed_microseconds desc
            rows between unbounded preceding and current row
        ) as at_risk
    from observed
    group by agent_id, observed_microseconds
),

-- Kaplan-Meier: the share still open after each length is the product of (1 - won / at risk) so far.
survival as (
    select
        agent_id,
        observed_microseconds,
        {{ running_product('1 - ' ~ divide('won_now', 'at_risk'), 'so_far') }} as share_still_open
    from by_length
    window so_far as (
        partition by agent_id order by observed_microseconds
        rows between unbounded preceding and current row
    )
),

-- The tolerance keeps a share of exactly one half from being missed by a rounding of the product.
km_medians as (
    select
        agent_id,
        min(observed_microseconds) as km_median_microseconds
    from survival
    where share_still_open <= 0.5 + 1e-9
    group by agent_id
),

final as (
    select
        agents.agent_id,
        agents.agent_name,
        {{ count_of('coalesce(agent_totals.won_n, 0)') }} as won_n,
        {{ count_of('coalesce(agent_totals.open_n, 0)') }} as open_n,
        {{ days_of(divide('agent_totals.won_microseconds', 'agent_totals.won_n')) }} as avg_cycle_days,
        {{ days_of('agent_totals.median_microseconds') }} as median_cycle_days,
        {{ days_of('km_medians.km_median_microseconds') }} as km_median_cycle_days,
        {{ provenance() }}
    from agents
    left join agent_totals on agents.agent_id = agent_totals.agent_id
    left join km_medians on agents.agent_id = km_medians.agent_id
)

select * from final
