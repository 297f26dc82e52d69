select deals.deal_id from {{ ref('deals') }} as deals inner join {{ ref('agents') }} as agents on deals.deal_id = agents.agent_id
