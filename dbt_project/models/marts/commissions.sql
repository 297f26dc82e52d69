{{ config(
    materialized='incremental',
    unique_key='commission_id', meta={'recomputed': 'int_commissions_recomputed'}
) }}

with commissions_recomputed as (
    select * from {{ ref('int_commissions_recomputed') }}
),

all_commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

commission_revisions as (
    select * from all_commission_revisions
    {% if var('built_log_size') %}
        where commission_id in (select commissions_recomputed.commission_id from commissions_recomputed)
    {% endif %}
),

disputes as (
    select * from {{ ref('int_disputes_paired') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

as_of_now as (
    select * from commission_revisions
    where valid_to is null
),

-- The day of each status is that of the ordinary move into it: a dispute that ends does not confirm a second time.
status_times as (
    select
        commission_id,
        min(valid_from) as introduced_at,
        max(case when event_type = 'commission.status_changed' and to_status = 'confirmed' then valid_from end)
            as confirmed_at,
        max(case when event_type = 'commission.status_changed' and to_status = 'invoiced' then valid_from end)
            as invoiced_at,
        max(case when event_type = 'commission.status_changed' and to_status = 'paid' then valid_from end) as paid_at
    from commission_revisions
    group by commission_id
),

dispute_times as (
    select
        commission_id,
        max(opened_at) as disputed_at,
        case when count(*) = count(resolved_at) then max(resolved_at) end as resolved_at,
        sum(case when resolved_at is null then amount end) as open_dispute_amount
    from disputes
    group by commission_id
),

final as (
    select
        as_of_now.commission_id,
        as_of_now.deal_id,
        as_of_now.agent_id,
        agents.agent_name,
        as_of_now.commission_type,
        as_of_now.basis_amount,
        as_of_now.basis_currency,
        as_of_now.commission_rate,
        as_of_now.commission_amount,
        as_of_now.adjustments_amount,
        as_of_now.net_commission_amount,
        as_of_now.status,
        status_times.introduced_at,
        status_times.confirmed_at,
        status_times.invoiced_at,
        status_times.paid_at,
        dispute_times.disputed_at,
        dispute_times.resolved_at,
        cast(coalesce(dispute_times.open_dispute_amount, 0) as {{ type_money() }}) as open_dispute_amount,
        {{ provenance() }}
    from as_of_now
    inner join agents on as_of_now.agent_id = agents.agent_id
    inner join status_times on as_of_now.commission_id = status_times.commission_id
    left join dispute_times on as_of_now.commission_id = dispute_times.commission_id
)

select * from final
