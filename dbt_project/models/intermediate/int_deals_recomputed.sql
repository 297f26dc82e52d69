with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

-- A deal bears its owner's name.
of_renamed_agents as (
    select deal_revisions.deal_id
    from deal_revisions
    inner join agents on deal_revisions.agent_id = agents.agent_id
    where deal_revisions.valid_to is null and agents.is_renamed
),

final as (
    select deal_id from deals_touched
    union distinct
    select deal_id from of_renamed_agents
)

select * from final
