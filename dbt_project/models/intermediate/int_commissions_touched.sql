with commission_events as (
    select * from {{ ref('stg_ledger__commission_events') }}
),

adjustments as (
    select * from {{ ref('stg_ledger__adjustments') }}
),

entries as (
    select
        commission_id,
        n,
        effective_at,
        effective_date
    from commission_events
    union all
    select
        commission_id,
        n,
        effective_at,
        effective_date
    from adjustments
),

-- As with deals; a dispute is an entry about its commission.
final as (
    select
        commission_id,
        min(effective_date) as from_date
    from entries
    where {% if var('built_log_size') %} {{ is_new_since_built() }} {% else %} false {% endif %}
    group by commission_id
)

select * from final
