with deals as (
    select * from {{ ref('deals') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

lead_costs as (
    select * from {{ ref('int_lead_costs_united') }}
),

agents_by_email as (
    select * from {{ ref('int_agents_by_email') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

deal_facts as (
    select
        credited_agent_id as agent_id,
        lead_source,
        true as has_source,
        case when status = 'open' then 1 else 0 end as deals_open,
        case when status = 'closed_won' then 1 else 0 end as deals_closed_won,
        case when status = 'closed_lost' then 1 else 0 end as deals_closed_lost,
        case when status = 'cancelled' then 1 else 0 end as deals_cancelled,
        case when status = 'closed_won' then value_reporting end as won_value,
        case
            when status = 'closed_won' and estimated_value_amount is not null and value_reporting is null then 1
            else 0
        end as won_unconverted_count,
        0 as open_days,
        cast(null as {{ type_exact_total() }}) as commission,
        0 as commission_unconverted_count,
        cast(null as {{ type_exact_total() }}) as cost,
        0 as cost_n,
        0 as cost_from_feed_n,
        0 as cost_unconverted_count
    from deals
),

-- A revision covers the ends of the days from its own to the one before the next; the last one, all days so far. There
-- are many more of them than of all else, so they are added up before they meet it.
open_day_facts as (
    select
        deal_revisions.agent_id,
        deals.lead_source,
        sum({{ dbt.datediff(
            'deal_revisions.valid_from_date',
            'coalesce(deal_revisions.valid_to_date, ' ~ dbt.dateadd('day', 1, as_of_date()) ~ ')',
            'day'
        ) }}) as open_days
    from deal_revisions
    inner join deals on deal_revisions.deal_id = deals.deal_id
    where deal_revisions.status = 'open'
    group by deal_revisions.agent_id, deals.lead_source
),

commission_facts as (
    select
        commission_revisions.agent_id,
        deals.lead_source,
        {{ convert('commission_revisions.net_commission_amount', 'commission_revisions.basis_currency', 'rates.rate') }}
            as commission,
        case
            when commission_revisions.net_commission_amount is not null and rates.rate is null then 1 else 0
        end as commission_unconverted_count
    from commission_revisions
    left join deals on commission_revisions.deal_id = deals.deal_id
    left join rates
        on
            commission_revisions.basis_currency = rates.currency
            and commission_revisions.first_confirmed_date = rates.snapshot_date
    where
        commission_revisions.valid_to is null
        and commission_revisions.status in ('confirmed', 'invoiced', 'paid')
),

-- A cost of no source in particular counts in the totals over all sources alone, one of the whole agency in the totals
-- over all agents alone.
cost_facts as (
    select
        agents_by_email.agent_id,
        lead_costs.lead_source,
        lead_costs.lead_source is not null as has_source,
        {{ convert('lead_costs.amount', 'lead_costs.currency', 'rates.rate') }} as cost,
        case when lead_costs.is_from_feed then 1 else 0 end as cost_from_feed_n,
        case when lead_costs.currency <> {{ reporting_currency() }} and rates.rate is null then 1 else 0 end
            as cost_unconverted_count
    from lead_costs
    left join agents_by_email on lead_costs.agent_email = agents_by_email.email
    left join rates
        on lead_costs.currency = rates.currency and lead_costs.cost_month = rates.snapshot_date
    where lead_costs.agent_email is null or agents_by_email.agent_id is not null
),

facts as (
    select * from deal_facts
    union all
    select
        agent_id,
        lead_source,
        true as has_source,
        0 as deals_open,
        0 as deals_closed_won,
        0 as deals_closed_lost,
        0 as deals_cancelled,
        null as won_value,
        0 as won_unconverted_count,
        open_days,
        null as commission,
        0 as commission_unconverted_count,
        null as cost,
        0 as cost_n,
        0 as cost_from_feed_n,
        0 as cost_unconverted_count
    from open_day_facts
    union all
    select
        agent_id,
        lead_source,
        true as has_source,
        0 as deals_open,
        0 as deals_closed_won,
        0 as deals_closed_lost,
        0 as deals_cancelled,
        null as won_value,
        0 as won_unconverted_count,
        0 as open_days,
        commission,
        commission_unconverted_count,
        null as cost,
        0 as cost_n,
        0 as cost_from_feed_n,
        0 as cost_unconverted_count
    from commission_facts
    union all
    select
        agent_id,
        lead_source,
        has_source,
        0 as deals_open,
        0 as deals_closed_won,
        0 as deals_closed_lost,
        0 as deals_cancelled,
        null as won_value,
        0 as won_unconverted_count,
        0 as open_days,
        null as commission,
        0 as commission_unconverted_count,
        cost,
        1 as cost_n,
        cost_from_feed_n,
        cost_unconverted_count
    from cost_facts
),

by_agent_and_source as (
    select
        agent_id,
        lead_source,
        has_source,
        sum(deals_open) as deals_open,
        sum(deals_closed_won) as deals_closed_won,
        sum(deals_closed_lost) as deals_closed_lost,
        sum(deals_cancelled) as deals_cancelled,
        coalesce(sum(won_value), 0) as won_value,
        sum(won_unconverted_count) as won_unconverted_count,
        sum(open_days) as open_days,
        coalesce(sum(commission), 0) as commission,
        sum(commission_unconverted_count) as commission_unconverted_count,
        coalesce(sum(cost), 0) as cost,
        sum(cost_n) as cost_n,
        sum(cost_from_feed_n) as cost_from_feed_n,
        sum(cost_unconverted_count) as cost_unconverted_count
    from facts
    group by agent_id, lead_source, has_source
),

-- The four answers: an agent's source, an agent's all, everybody's source, everybody's all.
scopes as (
    select
        'agent_and_source' as scope,
        1 as per_agent,
        1 as per_source
    union all
    select
        'agent' as scope,
        1 as per_agent,
        0 as per_source
    union all
    select
        'source' as scope,
        0 as per_agent,
        1 as per_source
    union all
    select
        'team' as scope,
        0 as per_agent,
        0 as per_source
),

totals as (
    select
        scopes.scope,
        case when scopes.per_agent = 1 then by_agent_and_source.agent_id end as agent_id,
        case when scopes.per_source = 1 then by_agent_and_source.lead_source end as lead_source,
        {{ count_of('sum(by_agent_and_source.deals_open)') }} as deals_open,
        {{ count_of('sum(by_agent_and_source.deals_closed_won)') }} as deals_closed_won,
        {{ count_of('sum(by_agent_and_source.deals_closed_lost)') }} as deals_closed_lost,
        {{ count_of('sum(by_agent_and_source.deals_cancelled)') }} as deals_cancelled,
        {{ money_total('sum(by_agent_and_source.won_value)') }} as won_value,
        {{ count_of('sum(by_agent_and_source.won_unconverted_count)') }} as won_unconverted_count,
        {{ count_of('sum(by_agent_and_source.open_days)') }} as open_days,
        {{ money_total('sum(by_agent_and_source.commission)') }} as confirmed_commission_amount,
        {{ count_of('sum(by_agent_and_source.commission_unconverted_count)') }} as commission_unconverted_count,
        {{ count_of('sum(by_agent_and_source.cost_n)') }} as cost_n,
        {{ count_of('sum(by_agent_and_source.cost_from_feed_n)') }} as cost_from_feed_n,
        {{ count_of('sum(by_agent_and_source.cost_unconverted_count)') }} as cost_unconverted_count,
        {{ money_total('sum(by_agent_and_source.cost)') }} as converted_cost
    from by_agent_and_source
    cross join scopes
    where
        (scopes.per_source = 0 or by_agent_and_source.has_source)
        and (scopes.per_agent = 0 or by_agent_and_source.agent_id is not null)
    group by
        scopes.scope,
        case when scopes.per_agent = 1 then by_agent_and_source.agent_id end,
        case when scopes.per_source = 1 then by_agent_and_source.lead_source end
),

-- A cost of which a part could not be converted is not known.
costed as (
    select
        *,
        case when cost_n > 0 and cost_unconverted_count = 0 then converted_cost end as cost_amount
    from totals
),

final as (
    select
        costed.scope,
        costed.agent_id,
        agents.agent_name,
        costed.lead_source,
        {{ reporting_currency() }} as reporting_currency,
        costed.deals_open,
        costed.deals_closed_won,
        costed.deals_closed_lost,
        costed.deals_cancelled,
        costed.won_value,
        costed.won_unconverted_count,
        costed.open_days,
        costed.confirmed_commission_amount,
        costed.commission_unconverted_count,
        {{ divide('costed.confirmed_commission_amount', 'costed.won_value') }} as commission_yield,
        {{ divide('costed.confirmed_commission_amount', 'costed.deals_closed_won') }} as revenue_per_won_deal,
        {{ divide('costed.confirmed_commission_amount', 'costed.open_days') }} as revenue_per_open_day,
        costed.cost_n,
        costed.cost_from_feed_n,
        costed.cost_unconverted_count,
        costed.cost_amount,
        {{ divide('costed.confirmed_commission_amount - costed.cost_amount', 'costed.cost_amount') }} as roi,
        {{ provenance() }}
    from costed
    left join agents on costed.agent_id = agents.agent_id
)

select * from final
