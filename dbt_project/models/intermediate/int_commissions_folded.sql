-- A commission without a new entry stays as it was built before.
{{ config(
    materialized='incremental',
    unique_key='commission_id', meta={'recomputed': 'int_commissions_touched'}
) }}

with commissions_touched as (
    select * from {{ ref('int_commissions_touched') }}
),

commission_events as (
    select * from {{ ref('stg_ledger__commission_events') }}
),

adjustments as (
    select * from {{ ref('stg_ledger__adjustments') }}
),

all_entries as (
    select
        n,
        commission_id,
        deal_id,
        event_type,
        agent_id,
        commission_type,
        basis_amount,
        basis_currency,
        commission_rate,
        commission_amount,
        to_status,
        cleared,
        effective_at,
        cast(0 as {{ type_money() }}) as adjustment_amount
    from commission_events
    union all
    select
        n,
        commission_id,
        deal_id,
        'commission.adjusted' as event_type,
        null as agent_id,
        null as commission_type,
        null as basis_amount,
        null as basis_currency,
        null as commission_rate,
        null as commission_amount,
        null as to_status,
        null as cleared,
        effective_at,
        case when adjustment_type = 'clawback' then -amount else amount end as adjustment_amount
    from adjustments
),

-- The day is that of staging, but asked for where an entry is used: on top of the last build most are not.
entries as (
    select
        *,
        {{ business_date('effective_at') }} as effective_date
    from all_entries
    {% if var('built_log_size') %}
        where commission_id in (select commissions_touched.commission_id from commissions_touched)
    {% endif %}
),

folded as (
    select
        commission_id,
        deal_id,
        n,
        event_type,
        to_status,
        effective_at as valid_from,
        effective_date as valid_from_date,
        row_number() over (partition by commission_id order by effective_at, n) as revision,
        lead(effective_at) over (partition by commission_id order by effective_at, n) as valid_to,
        lead(effective_date) over (partition by commission_id order by effective_at, n) as valid_to_date,
        {{ last_known('agent_id', 'so_far') }} as agent_id,
        {{ last_known('commission_type', 'so_far') }} as commission_type,
        {{ last_known('basis_amount', 'so_far') }} as basis_amount,
        {{ last_known('basis_currency', 'so_far') }} as basis_currency,
        {{ last_known('commission_rate', 'so_far') }} as commission_rate,
        {{ last_set('commission_amount', 'so_far') }} as commission_amount,
        {{ last_known('to_status', 'so_far') }} as status,
        sum(adjustment_amount) over so_far as adjustments_amount,
        min(case when to_status in ('confirmed', 'invoiced', 'paid') then effective_date end)
            over so_far as first_confirmed_date
    from entries
    window so_far as (
        partition by commission_id order by effective_at, n
        rows between unbounded preceding and current row
    )
),

final as (
    select
        commission_id,
        revision,
        deal_id,
        n,
        event_type,
        to_status,
        valid_from,
        valid_to,
        valid_from_date,
        valid_to_date,
        agent_id,
        commission_type,
        basis_amount,
        basis_currency,
        commission_rate,
        commission_amount,
        cast(adjustments_amount as {{ type_money() }}) as adjustments_amount,
        cast(commission_amount + adjustments_amount as {{ type_money() }}) as net_commission_amount,
        status,
        first_confirmed_date
    from folded
)

select * from final
