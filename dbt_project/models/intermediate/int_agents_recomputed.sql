with agents as (
    select * from {{ ref('int_agents_listed') }}
),

deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

commissions_touched as (
    select * from {{ ref('int_commissions_touched') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

-- Entries are never taken back, so whoever owned a touched deal before still stands in one of its revisions.
touched as (
    select
        deal_revisions.agent_id,
        deals_touched.from_date
    from deals_touched
    inner join deal_revisions on deals_touched.deal_id = deal_revisions.deal_id
    union all
    select
        commission_revisions.agent_id,
        commissions_touched.from_date
    from commissions_touched
    inner join commission_revisions on commissions_touched.commission_id = commission_revisions.commission_id
),

first_touched as (
    select
        agent_id,
        min(from_date) as from_date
    from touched
    group by agent_id
),

-- Days that were not asked about before are computed for everybody.
final as (
    select
        agents.agent_id,
        {% if var('built_log_size') %}
            least(coalesce(first_touched.from_date, {{ day_after_built() }}), {{ day_after_built() }}) as from_date
        {% else %}
            coalesce(first_touched.from_date, cast('0001-01-01' as date)) as from_date
        {% endif %}
    from agents
    left join first_touched on agents.agent_id = first_touched.agent_id
)

select * from final
