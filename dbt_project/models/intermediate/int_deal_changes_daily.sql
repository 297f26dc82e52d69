-- Only days to compute, and all that stood before them as of the first: their sums are whole without earlier changes.
with agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

-- What came and went within a day is out. On top of the last build, what ended before the first day to compute is not
-- even read.
deal_revisions as (
    {% if var('built_log_size') %}
        select * from {{ ref('deal_revisions') }}
        where valid_to_date is null
        union all
        select * from {{ ref('deal_revisions') }}
        where
            valid_to_date > (select min(agents.from_date) from agents)
            and valid_to_date > valid_from_date
    {% else %}
        select * from {{ ref('deal_revisions') }}
        where valid_to_date is null or valid_to_date > valid_from_date
    {% endif %}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

-- The state of a deal at the end of a day, and the days for which it stood. What stood before the agent's first day to
-- compute stands from that day on.
states as (
    select
        deal_revisions.credited_agent_id as agent_id,
        deal_revisions.status,
        deal_revisions.pipeline_stage as stage,
        deal_revisions.estimated_value_currency as currency,
        greatest(deal_revisions.valid_from_date, agents.from_date) as valid_from_date,
        deal_revisions.valid_to_date,
        deal_revisions.status in ('closed_won', 'closed_lost') as is_decided,
        deal_revisions.estimated_value_amount as amount,
        rates.rate as close_rate,
        coalesce(deal_revisions.confidence, pipeline_stages.default_confidence) as effective_confidence,
        deal_revisions.confidence is null as is_confidence_default,
        case
            when deal_revisions.status = 'closed_won'
                then {{ microseconds_between('deal_revisions.opened_at', 'deal_revisions.closed_at') }}
        end as cycle_microseconds
    from deal_revisions
    inner join agents
        on
            deal_revisions.credited_agent_id = agents.agent_id
            and (deal_revisions.valid_to_date is null or deal_revisions.valid_to_date > agents.from_date)
    inner join pipeline_stages on deal_revisions.pipeline_stage = pipeline_stages.stage
    left join rates
        on
            deal_revisions.estimated_value_currency = rates.currency
            and deal_revisions.closed_date = rates.snapshot_date
),

-- Each state is added on its first day and taken away on the day it ended.
signs as (
    select 1 as sign
    union all
    select -1 as sign
),

changes as (
    select
        states.*,
        signs.sign,
        case when signs.sign = 1 then states.valid_from_date else states.valid_to_date end as change_date,
        case when signs.sign = 1 then states.amount else -states.amount end as signed_amount
    from states
    cross join signs
    where signs.sign = 1 or states.valid_to_date is not null
),

final as (
    select
        agent_id,
        status,
        stage,
        currency,
        change_date,
        {{ count_of('sum(sign)') }} as deals,
        {{ count_of('sum(case when amount is not null then sign else 0 end)') }} as valued_deals,
        coalesce(sum(signed_amount), 0) as amount,
        coalesce(sum(case when status = 'open' then signed_amount * effective_confidence end), 0) as weighted_amount,
        coalesce(sum(case when is_confidence_default then signed_amount end), 0) as amount_without_confidence,
        coalesce(sum(case when is_decided then {{ convert('signed_amount', 'currency', 'close_rate') }} end), 0)
            as amount_at_close_rate,
        {{ count_of('sum(case when is_decided and amount is not null and close_rate is null then sign else 0 end)') }}
            as unconverted_deals,
        {{ count_of('coalesce(sum(sign * cycle_microseconds), 0)') }} as cycle_microseconds
    from changes
    group by agent_id, status, stage, currency, change_date
)

select * from final
