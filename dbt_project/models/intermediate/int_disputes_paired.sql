with disputes as (
    select * from {{ ref('stg_ledger__disputes') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

opened as (
    select * from disputes
    where event_type = 'dispute.opened'
),

resolved as (
    select * from disputes
    where event_type = 'dispute.resolved'
),

final as (
    select
        opened.dispute_id,
        opened.commission_id,
        commission_revisions.agent_id,
        opened.amount,
        coalesce(opened.currency, commission_revisions.basis_currency) as currency,
        opened.effective_at as opened_at,
        opened.effective_date as opened_date,
        resolved.effective_at as resolved_at,
        resolved.effective_date as resolved_date,
        resolved.outcome
    from opened
    inner join commission_revisions on opened.n = commission_revisions.n
    left join resolved on opened.dispute_id = resolved.dispute_id
)

select * from final
