{{ config(
    materialized='incremental',
    unique_key='commission_id', meta={'recomputed': 'int_commissions_touched'}
) }}

with commissions_touched as (
    select * from {{ ref('int_commissions_touched') }}
),

all_commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

commission_revisions as (
    select * from all_commission_revisions
    {% if var('built_log_size') %}
        where commission_id in (select commissions_touched.commission_id from commissions_touched)
    {% endif %}
),

entries as (
    select
        commission_id,
        deal_id,
        n,
        agent_id,
        to_status as status,
        event_type as entered_by,
        valid_from as entered_at,
        valid_from_date as entered_date,
        lag(to_status) over (partition by commission_id order by valid_from, n) as status_before
    from commission_revisions
    where to_status is not null
),

-- An entry that says again what stands begins no visit.
changes as (
    select * from entries
    where status_before is null or status <> status_before
),

visits as (
    select
        *,
        row_number() over (partition by commission_id order by entered_at, n) as visit,
        lead(entered_at) over (partition by commission_id order by entered_at, n) as left_at,
        lead(status) over (partition by commission_id order by entered_at, n) as next_status
    from changes
),

final as (
    select
        commission_id,
        visit,
        deal_id,
        agent_id,
        status,
        status_before,
        entered_by,
        entered_at,
        entered_date,
        left_at,
        next_status,
        {{ provenance() }}
    from visits
)

select * from final
