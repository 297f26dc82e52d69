-- A deal without a new entry stays as it was built before.
{{ config(
    materialized='incremental',
    unique_key='deal_id', meta={'recomputed': 'int_deals_touched'}
) }}

with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

all_deal_events as (
    select * from {{ ref('stg_ledger__deal_events') }}
),

deal_events as (
    select * from all_deal_events
    {% if var('built_log_size') %}
        where deal_id in (select deals_touched.deal_id from deals_touched)
    {% endif %}
),

all_stage_events as (
    select * from {{ ref('stg_ledger__stage_events') }}
),

stage_events as (
    select * from all_stage_events
    {% if var('built_log_size') %}
        where deal_id in (select deals_touched.deal_id from deals_touched)
    {% endif %}
),

pipeline_stages as (
    select * from {{ ref('pipeline_stages') }}
),

-- What one entry says about stage and status. A stage decides the status; only cancelling does so without a stage.
-- Staging knows the business day as well, but there it would be computed of all entries, and only few are folded anew.
entries as (
    select
        deal_events.*,
        {{ business_date('deal_events.effective_at') }} as valid_from_date,
        stage_events.to_stage,
        case
            when deal_events.event_type = 'deal.cancelled' then 'cancelled'
            when pipeline_stages.is_open then 'open'
            else stage_events.to_stage
        end as to_status
    from deal_events
    left join stage_events on deal_events.n = stage_events.n
    left join pipeline_stages on stage_events.to_stage = pipeline_stages.stage
),

-- Entries in the order in which things happened, however late they were written down.
folded as (
    select
        deal_id,
        n,
        event_type,
        recorded_at,
        to_status,
        effective_at as valid_from,
        valid_from_date,
        row_number() over (partition by deal_id order by effective_at, n) as revision,
        lead(effective_at) over (partition by deal_id order by effective_at, n) as valid_to,
        lead(valid_from_date) over (partition by deal_id order by effective_at, n) as valid_to_date,
        first_value(effective_at) over so_far as opened_at,
        {{ last_known('agent_id', 'so_far') }} as agent_id,
        {{ last_known('asset_type', 'so_far') }} as asset_type,
        {{ last_known('deal_type', 'so_far') }} as deal_type,
        {{ last_known('to_stage', 'so_far') }} as pipeline_stage,
        {{ last_known('to_status', 'so_far') }} as status,
        {{ last_known('to_status', 'before') }} as status_before,
        {{ last_set('lead_source', 'so_far') }} as lead_source,
        {{ last_set('estimated_value_amount', 'so_far') }} as estimated_value_amount,
        {{ last_known('estimated_value_currency', 'so_far') }} as estimated_value_currency,
        {{ last_set('confidence', 'so_far') }} as confidence,
        {{ last_set('expected_close_date', 'so_far') }} as expected_close_date,
        {{ last_set('actual_close_date', 'so_far') }} as last_close_date,
        {{ last_set('external_ref', 'so_far') }} as external_ref,
        {{ last_set('project_id', 'so_far') }} as project_id,
        {{ last_set('property_id', 'so_far') }} as property_id
    from entries
    window
        so_far as (
            partition by deal_id order by effective_at, n
            rows between unbounded preceding and current row
        ),
        before as (
            partition by deal_id order by effective_at, n
            rows between unbounded preceding and 1 preceding
        )
),

-- An entry begins a closed state when the deal did not already stand in it.
compared as (
    select
        *,
        to_status is not null and to_status <> coalesce(status_before, 'none') as is_entry_into_status
    from folded
),

credited as (
    select
        *,
        {{ last_known('case when is_entry_into_status then valid_from end', 'so_far') }} as status_since,
        {{ last_known('case when is_entry_into_status then agent_id end', 'so_far') }} as owner_at_entry
    from compared
    window so_far as (
        partition by deal_id order by revision
        rows between unbounded preceding and current row
    )
),

final as (
    select
        deal_id,
        revision,
        n,
        event_type,
        valid_from,
        valid_to,
        valid_from_date,
        valid_to_date,
        recorded_at,
        agent_id,
        case when status = 'open' then agent_id else owner_at_entry end as credited_agent_id,
        asset_type,
        deal_type,
        pipeline_stage,
        status,
        lead_source,
        estimated_value_amount,
        estimated_value_currency,
        confidence,
        expected_close_date,
        case when status in ('closed_won', 'closed_lost') then last_close_date end as actual_close_date,
        opened_at,
        case when status <> 'open' then status_since end as closed_at,
        case when status <> 'open' then {{ business_date('status_since') }} end as closed_date,
        external_ref,
        project_id,
        property_id,
        {{ provenance() }}
    from credited
)

select * from final
