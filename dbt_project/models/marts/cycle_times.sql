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
        asset_type,
        deal_type,
        status = 'closed_won' as is_won,
        {{ microseconds_between('opened_at', 'coalesce(closed_at, ' ~ end_of_as_of_day() ~ ')') }}
            as observed_microseconds
    from deals
    where status in ('open', 'closed_won')
),

-- The four answers: an agent, an agent's kind of deals, the team, the team's kind of deals (null = all).
scopes as (
    select
        1 as per_agent,
        0 as per_kind
    union all
    select
        1 as per_agent,
        1 as per_kind
    union all
    select
        0 as per_agent,
        0 as per_kind
    union all
    select
        0 as per_agent,
        1 as per_kind
),

scoped as (
    select
        case when scopes.per_agent = 1 then observed.agent_id end as agent_id,
        case when scopes.per_kind = 1 then observed.asset_type end as asset_type,
        case when scopes.per_kind = 1 then observed.deal_type end as deal_type,
        observed.is_won,
        observed.observed_microseconds
    from observed
    cross join scopes
),

totals as (
    select
        agent_id,
        asset_type,
        deal_type,
        sum(case when is_won then 1 else 0 end) as won_n,
        sum(case when is_won then 0 else 1 end) as open_n,
        sum(case when is_won then observed_microseconds else 0 end) as won_microseconds,
        {{ median('case when is_won then observed_microseconds end') }} as median_microseconds
    from scoped
    group by agent_id, asset_type, deal_type
),

-- All lengths are put in order twice, which is cheaper by a number than by three texts.
numbered as (
    select
        *,
        row_number() over (order by agent_id, asset_type, deal_type) as scope
    from totals
),

by_length as (
    select
        numbered.scope,
        scoped.observed_microseconds,
        sum(case when scoped.is_won then 1 else 0 end) as won_now,
        sum(count(*)) over (
            partition by numbered.scope order by scoped.observed_microseconds desc
            rows between unbounded preceding and current row
        ) as at_risk
    from scoped
    inner join numbered
        on
            scoped.agent_id is not distinct from numbered.agent_id
            and scoped.asset_type is not distinct from numbered.asset_type
            and scoped.deal_type is not distinct from numbered.deal_type
    group by numbered.scope, scoped.observed_microseconds
),

-- Kaplan-Meier: the share still open after each length is the product of (1 - won / at risk) so far. A length at which
-- nothing was won leaves it as it is.
survival as (
    select
        scope,
        observed_microseconds,
        {{ running_product('1 - ' ~ divide('won_now', 'at_risk'), 'so_far') }} as share_still_open
    from by_length
    where won_now > 0
    window so_far as (
        partition by scope order by observed_microseconds
        rows between unbounded preceding and current row
    )
),

-- The tolerance keeps a share of exactly one half from being missed by a rounding of the product.
km_medians as (
    select
        scope,
        min(observed_microseconds) as km_median_microseconds
    from survival
    where share_still_open <= 0.5 + 1e-9
    group by scope
),

-- Every agent has a row over all deals, with or without any.
rows_wanted as (
    select
        agent_id,
        asset_type,
        deal_type
    from totals
    union distinct
    select
        agent_id,
        null as asset_type,
        null as deal_type
    from agents
),

final as (
    select
        rows_wanted.agent_id,
        agents.agent_name,
        rows_wanted.asset_type,
        rows_wanted.deal_type,
        {{ count_of('coalesce(numbered.won_n, 0)') }} as won_n,
        {{ count_of('coalesce(numbered.open_n, 0)') }} as open_n,
        {{ days_of(divide('numbered.won_microseconds', 'numbered.won_n')) }} as avg_cycle_days,
        {{ days_of('numbered.median_microseconds') }} as median_cycle_days,
        {{ days_of('km_medians.km_median_microseconds') }} as km_median_cycle_days,
        {{ provenance() }}
    from rows_wanted
    left join numbered
        on
            rows_wanted.agent_id is not distinct from numbered.agent_id
            and rows_wanted.asset_type is not distinct from numbered.asset_type
            and rows_wanted.deal_type is not distinct from numbered.deal_type
    left join km_medians on numbered.scope = km_medians.scope
    left join agents on rows_wanted.agent_id = agents.agent_id
)

select * from final
