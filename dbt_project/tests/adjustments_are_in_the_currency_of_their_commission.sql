-- Amounts of different currencies are never added, so an adjustment must be in its commission's currency.
select
    adjustments.adjustment_id,
    adjustments.currency,
    commissions.basis_currency
from {{ ref('stg_ledger__adjustments') }} as adjustments
left join {{ ref('commissions') }} as commissions on adjustments.commission_id = commissions.commission_id
where commissions.basis_currency is null or adjustments.currency <> commissions.basis_currency
