-- What the lead sources of an agent bring is what the agent's last snapshot says, and all add up to the team.
-- Values are rounded to cents per deal here and per total there: a cent for each deal is no difference.
with snapshots as (
    select * from {{ ref('agent_performance_snapshots') }}
    where snapshot_date = {{ as_of_date() }}
),

by_scope as (
    select
        scope,
        agent_id,
        sum(deals_open) as deals_open,
        sum(deals_closed_won) as deals_closed_won,
        sum(won_value) as won_value,
        sum(open_days) as open_days,
        sum(confirmed_commission_amount) as confirmed_commission_amount,
        count(*) as parts
    from {{ ref('lead_source_roi') }}
    group by scope, agent_id
),

team as (
    select
        sum(deals_open) as deals_open,
        sum(deals_closed_won) as deals_closed_won,
        sum(won_value) as won_value,
        sum(open_days) as open_days,
        sum(confirmed_commission_amount) as confirmed_commission_amount,
        count(*) as parts
    from snapshots
),

compared as (
    select
        snapshots.agent_id,
        by_scope.scope,
        snapshots.deals_open = by_scope.deals_open
        and snapshots.deals_closed_won = by_scope.deals_closed_won
        and snapshots.open_days = by_scope.open_days
        and abs(snapshots.won_value - by_scope.won_value) <= 0.01 * (by_scope.parts + by_scope.deals_closed_won)
        and abs(snapshots.confirmed_commission_amount - by_scope.confirmed_commission_amount) <= 0.01 * by_scope.parts
            as is_equal
    from snapshots
    inner join by_scope on snapshots.agent_id = by_scope.agent_id
    union all
    select
        null as agent_id,
        by_scope.scope,
        team.deals_open = by_scope.deals_open
        and team.deals_closed_won = by_scope.deals_closed_won
        and team.open_days = by_scope.open_days
        and abs(team.won_value - by_scope.won_value)
        <= 0.01 * (by_scope.parts + team.parts + team.deals_closed_won)
        and abs(team.confirmed_commission_amount - by_scope.confirmed_commission_amount)
        <= 0.01 * (by_scope.parts + team.parts) as is_equal
    from team
    inner join by_scope on by_scope.agent_id is null
)

select * from compared
where not is_equal
