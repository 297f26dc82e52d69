with people as (
    select * from {{ ref('stg_ledger__people') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

people_as_known as (
    select
        user_id,
        n,
        {{ last_known('name', 'so_far') }} as name,
        {{ last_known('role', 'so_far') }} as role,
        row_number() over (partition by user_id order by n desc) as entries_from_last
    from people
    window so_far as (partition by user_id order by n rows between unbounded preceding and current row)
),

staff as (
    select
        user_id,
        name,
        role
    from people_as_known
    where entries_from_last = 1
),

-- An agent is who may have deals, and who ever had one.
agents as (
    select user_id as agent_id from staff
    where role in ('agent', 'manager')
    union distinct
    select agent_id from deal_revisions
    union distinct
    select agent_id from commission_revisions
),

final as (
    select
        agents.agent_id,
        coalesce(staff.name, agents.agent_id) as agent_name
    from agents
    left join staff on agents.agent_id = staff.user_id
)

select * from final
