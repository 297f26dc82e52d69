-- Marts that hold the team (null agent) beside its agents: whatever can be added up, adds up. Amounts are rounded to
-- cents one by one.
with parts_and_totals as (
    select
        'recalibrated_pipeline: deals_open' as what,
        0.0 as tolerance,
        cast(deals_open as {{ type_double() }}) as amount,
        agent_id is null as is_team
    from {{ ref('recalibrated_pipeline') }}
    union all
    select
        'recalibrated_pipeline: gross_pipeline_value' as what,
        0.01 as tolerance,
        gross_pipeline_value as amount,
        agent_id is null as is_team
    from {{ ref('recalibrated_pipeline') }}
    union all
    select
        'recalibrated_pipeline: recalibrated_pipeline_value' as what,
        0.01 as tolerance,
        recalibrated_pipeline_value as amount,
        agent_id is null as is_team
    from {{ ref('recalibrated_pipeline') }}
    union all
    select
        'cycle_times: won_n' as what,
        0.0 as tolerance,
        won_n as amount,
        agent_id is null as is_team
    from {{ ref('cycle_times') }}
    where asset_type is null and deal_type is null
    union all
    select
        'payout_velocity: n of ' || step as what,
        0.0 as tolerance,
        n as amount,
        agent_id is null as is_team
    from {{ ref('payout_velocity') }}
    union all
    select
        'pipeline_coverage: won_value' as what,
        0.01 as tolerance,
        won_value as amount,
        agent_id is null as is_team
    from {{ ref('pipeline_coverage') }}
),

compared as (
    select
        what,
        max(tolerance) * count(*) as tolerance,
        coalesce(sum(case when is_team then amount end), 0) as team_amount,
        coalesce(sum(case when not is_team then amount end), 0) as agents_amount
    from parts_and_totals
    group by what
)

select * from compared
where abs(team_amount - agents_amount) > tolerance
