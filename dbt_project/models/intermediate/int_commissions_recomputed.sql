with commissions_touched as (
    select * from {{ ref('int_commissions_touched') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

-- A commission bears its agent's name.
of_renamed_agents as (
    select commission_revisions.commission_id
    from commission_revisions
    inner join agents on commission_revisions.agent_id = agents.agent_id
    where commission_revisions.valid_to is null and agents.is_renamed
),

final as (
    select commission_id from commissions_touched
    union distinct
    select commission_id from of_renamed_agents
)

select * from final
