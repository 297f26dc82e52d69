-- Incremental daily histories leave out the days on which nothing happened. Here every agent has every day.
-- Duplicates are caught by the grain test, so a count per agent is enough.
with rows_of_agents as (
    select
        agents.agent_id,
        count(snapshots.snapshot_date) as row_count
    from {{ ref('int_agents_listed') }} as agents
    left join {{ ref('agent_performance_snapshots') }} as snapshots on agents.agent_id = snapshots.agent_id
    group by agents.agent_id
)

select * from rows_of_agents
where row_count <> (select count(*) from {{ ref('int_days_spanned') }})
