{{ config(
    materialized='incremental',
    unique_key='deal_id', meta={'recomputed': 'int_deals_touched'}
) }}

with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

all_deals as (
    select * from {{ ref('int_deals_standing') }}
),

deals as (
    select * from all_deals
    {% if var('built_log_size') %}
        where
            deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
    {% endif %}
),

stated as (
    select
        deal_id,
        revision,
        expected_close_date
    from deal_revisions
    where
        expected_close_date is not null
        {% if var('built_log_size') %}
            and deal_id in (select deals_touched.deal_id from deals_touched)
            and {{ is_of_this_build() }}
        {% endif %}
),

compared as (
    select
        deal_id,
        revision,
        expected_close_date,
        lag(expected_close_date) over (partition by deal_id order by revision) as expected_before,
        first_value(expected_close_date) over (
            partition by deal_id order by revision rows between unbounded preceding and current row
        ) as first_expected_date,
        last_value(expected_close_date) over (
            partition by deal_id order by revision rows between unbounded preceding and unbounded following
        ) as last_expected_date
    from stated
),

measured as (
    select
        *,
        {{ dbt.datediff('expected_before', 'expected_close_date', 'day') }} as days_moved
    from compared
),

counted as (
    select
        deal_id,
        min(first_expected_date) as first_expected_date,
        min(last_expected_date) as last_expected_date,
        sum(case when days_moved > 0 then 1 else 0 end) as pushes,
        sum(case when days_moved < 0 then 1 else 0 end) as pulls,
        coalesce(sum(case when days_moved > 0 then days_moved end), 0) as days_pushed,
        coalesce(sum(days_moved), 0) as days_slipped
    from measured
    group by deal_id
),

final as (
    select
        counted.deal_id,
        deals.agent_id,
        deals.credited_agent_id,
        deals.status,
        counted.first_expected_date,
        counted.last_expected_date,
        deals.closed_date,
        {{ count_of('counted.pushes') }} as pushes,
        {{ count_of('counted.pulls') }} as pulls,
        {{ count_of('counted.days_pushed') }} as days_pushed,
        {{ count_of('counted.days_slipped') }} as days_slipped,
        case
            when deals.status in ('closed_won', 'closed_lost')
                then {{ count_of(dbt.datediff('counted.first_expected_date', 'deals.closed_date', 'day')) }}
        end as days_late_at_close,
        deals.expected_close_date,
        {{ provenance() }}
    from counted
    inner join deals on counted.deal_id = deals.deal_id
)

select * from final
