with deal_events as (
    select * from {{ ref('stg_ledger__deal_events') }}
),

-- A deal's history is told in the order in which things happened: before the first new thing it stays as it was.
final as (
    select
        deal_id,
        min(effective_date) as from_date
    from deal_events
    where {% if var('built_log_size') %} {{ is_new_since_built() }} {% else %} false {% endif %}
    group by deal_id
)

select * from final
