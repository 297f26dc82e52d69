{% set columns = [
    'deals_open', 'gross_pipeline_value', 'weighted_pipeline_value', 'unconverted_count'
] %}

with agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

all_deal_changes as (
    select * from {{ ref('int_deal_changes_daily') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

-- All that changed before the first day to compute counts as of that day.
deal_changes as (
    select
        all_deal_changes.agent_id,
        all_deal_changes.stage,
        all_deal_changes.currency,
        greatest(all_deal_changes.change_date, agents.from_date) as change_date,
        sum(all_deal_changes.deals) as deals,
        sum(all_deal_changes.valued_deals) as valued_deals,
        sum(all_deal_changes.amount) as amount,
        sum(all_deal_changes.weighted_amount) as weighted_amount
    from all_deal_changes
    inner join agents on all_deal_changes.agent_id = agents.agent_id
    where all_deal_changes.status = 'open'
    group by
        all_deal_changes.agent_id,
        all_deal_changes.stage,
        all_deal_changes.currency,
        greatest(all_deal_changes.change_date, agents.from_date)
),

-- What stands from one change to the next.
levels as (
    select
        agent_id,
        stage,
        currency,
        change_date,
        lead(change_date) over changes as next_change_date,
        sum(deals) over so_far as deals_open,
        sum(valued_deals) over so_far as deals_open_with_value,
        sum(amount) over so_far as amount,
        sum(weighted_amount) over so_far as weighted_amount
    from deal_changes
    window
        changes as (partition by agent_id, stage, currency order by change_date),
        so_far as (
            partition by agent_id, stage, currency order by change_date
            rows between unbounded preceding and current row
        )
),

days as (
    select
        agent_id,
        stage,
        currency,
        deals_open,
        deals_open_with_value,
        amount,
        weighted_amount,
        {{ each_day(
            'change_date', 'coalesce(' ~ dbt.dateadd('day', -1, 'next_change_date') ~ ', ' ~ as_of_date() ~ ')'
        ) }} as snapshot_date
    from levels
    where deals_open > 0
),

totals as (
    select
        days.agent_id,
        days.stage,
        days.snapshot_date,
        sum(days.deals_open) as deals_open,
        coalesce(sum({{ convert('days.amount', 'days.currency', 'rates.rate') }}), 0) as gross_pipeline_value,
        coalesce(sum({{ convert('days.weighted_amount', 'days.currency', 'rates.rate') }}), 0)
            as weighted_pipeline_value,
        sum(case when rates.rate is null then days.deals_open_with_value else 0 end) as unconverted_count
    from days
    left join rates on days.currency = rates.currency and days.snapshot_date = rates.snapshot_date
    group by days.agent_id, days.stage, days.snapshot_date
),

computed as (
    select
        agent_id,
        stage,
        snapshot_date,
        {{ count_of('deals_open') }} as deals_open,
        {{ money_total('gross_pipeline_value') }} as gross_pipeline_value,
        {{ money_total('weighted_pipeline_value') }} as weighted_pipeline_value,
        {{ count_of('unconverted_count') }} as unconverted_count,
        {{ provenance() }}
    from totals
),

final as (
    select * from computed
    {% if var('built_log_size') %}
        union all
        select
            kept.agent_id,
            kept.stage,
            kept.snapshot_date,
            {% for column in columns %}
                kept.{{ column }},
            {% endfor %}
            {{ provenance() }}
        from {{ this }} as kept
        inner join agents on kept.agent_id = agents.agent_id
        where kept.snapshot_date < agents.from_date
    {% endif %}
)

select * from final
