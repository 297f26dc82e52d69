-- The last day's amount per agent and currency against the commissions as they stand: each belongs to its own agent,
-- with its adjustments, in its own currency.
with standing as (
    select
        agent_id,
        basis_currency as currency,
        coalesce(sum(case when status in ('confirmed', 'invoiced', 'paid') then net_commission_amount end), 0)
            as confirmed_commission_amount,
        sum(open_dispute_amount) as disputed_commission_amount
    from {{ ref('commissions') }}
    group by agent_id, basis_currency
),

last_day as (
    select * from {{ ref('agent_currency_snapshots') }}
    where snapshot_date = {{ as_of_date() }}
)

select
    coalesce(last_day.agent_id, standing.agent_id) as agent_id,
    coalesce(last_day.currency, standing.currency) as currency,
    last_day.confirmed_commission_amount,
    standing.confirmed_commission_amount as standing_confirmed,
    last_day.disputed_commission_amount,
    standing.disputed_commission_amount as standing_disputed
from last_day
full outer join standing on last_day.agent_id = standing.agent_id and last_day.currency = standing.currency
where
    coalesce(last_day.confirmed_commission_amount, 0) <> coalesce(standing.confirmed_commission_amount, 0)
    or coalesce(last_day.disputed_commission_amount, 0) <> coalesce(standing.disputed_commission_amount, 0)
