-- Days before the first one to compute stay as they were built before.
{{ config(
    materialized='incremental',
    unique_key=['agent_id', 'snapshot_date'], meta={'recomputed': 'int_agents_recomputed'}
) }}

{% set counts = ['deals_open', 'deals_closed_won', 'deals_open_with_value', 'open_disputes'] %}
{% set amounts = [
    'gross_pipeline_value', 'weighted_pipeline_value', 'value_without_confidence', 'won_value', 'lost_value',
    'confirmed_commission_amount', 'disputed_commission_amount'
] %}

with agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

deal_changes as (
    select * from {{ ref('int_deal_changes_daily') }}
),

commission_changes as (
    select * from {{ ref('int_commission_changes_daily') }}
),

-- A currency has rows from its first event on, also where nothing stands in it any more.
{% if var('built_log_size') %}
    currencies_before as (
        select
            kept.agent_id,
            kept.currency,
            agents.from_date as change_date
        from {{ this }} as kept
        inner join agents
            on
                kept.agent_id = agents.agent_id
                and kept.snapshot_date = {{ dbt.dateadd('day', -1, 'agents.from_date') }}
    ),
{% else %}
    currencies_before as (
        select
            agent_id,
            cast(null as {{ dbt.type_string() }}) as currency,
            from_date as change_date
        from agents
        where false
    ),
{% endif %}

changes as (
    select
        agent_id,
        currency,
        change_date,
        case when status = 'open' then deals else 0 end as deals_open,
        case when status = 'closed_won' then deals else 0 end as deals_closed_won,
        case when status = 'open' then valued_deals else 0 end as deals_open_with_value,
        case when status = 'open' then amount else 0 end as gross_pipeline_value,
        weighted_amount as weighted_pipeline_value,
        case when status = 'open' then amount_without_confidence else 0 end as value_without_confidence,
        case when status = 'closed_won' then amount else 0 end as won_value,
        case when status = 'closed_lost' then amount else 0 end as lost_value,
        0 as confirmed_commission_amount,
        0 as disputed_commission_amount,
        0 as open_disputes
    from deal_changes
    where currency is not null
    union all
    select
        agent_id,
        currency,
        change_date,
        0 as deals_open,
        0 as deals_closed_won,
        0 as deals_open_with_value,
        0 as gross_pipeline_value,
        0 as weighted_pipeline_value,
        0 as value_without_confidence,
        0 as won_value,
        0 as lost_value,
        confirmed_amount as confirmed_commission_amount,
        disputed_amount as disputed_commission_amount,
        open_disputes
    from commission_changes
    union all
    select
        agent_id,
        currency,
        change_date,
        0 as deals_open,
        0 as deals_closed_won,
        0 as deals_open_with_value,
        0 as gross_pipeline_value,
        0 as weighted_pipeline_value,
        0 as value_without_confidence,
        0 as won_value,
        0 as lost_value,
        0 as confirmed_commission_amount,
        0 as disputed_commission_amount,
        0 as open_disputes
    from currencies_before
),

changes_by_day as (
    select
        {% for column in counts + amounts %}
            sum({{ column }}) as {{ column }},
        {% endfor %}
        agent_id,
        currency,
        change_date
    from changes
    group by agent_id, currency, change_date
),

-- What stands from one change to the next: only days with changes are summed.
levels as (
    select
        {% for column in counts + amounts %}
            sum({{ column }}) over so_far as {{ column }},
        {% endfor %}
        agent_id,
        currency,
        change_date,
        lead(change_date) over changes as next_change_date
    from changes_by_day
    window
        changes as (partition by agent_id, currency order by change_date),
        so_far as (
            partition by agent_id, currency order by change_date rows between unbounded preceding and current row
        )
),

rounded as (
    select
        {% for column in counts %}
            {{ count_of(column) }} as {{ column }},
        {% endfor %}
        {% for column in amounts %}
            {{ money_total(column) }} as {{ column }},
        {% endfor %}
        agent_id,
        currency,
        change_date,
        next_change_date
    from levels
),

final as (
    select
        agent_id,
        {{ each_day_until('change_date', 'next_change_date') }} as snapshot_date,
        currency,
        {% for column in counts + amounts %}
            {{ column }},
        {% endfor %}
        {{ provenance() }}
    from rounded
)

select * from final
