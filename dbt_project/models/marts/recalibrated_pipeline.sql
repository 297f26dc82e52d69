with deals as (
    select * from {{ ref('deals') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

scores as (
    select * from {{ ref('calibration_scores') }}
),

-- What a stated confidence came to is known for all agents together, a stage's default for its stage.
observed as (
    select
        scope,
        stage,
        confidence_bin,
        cast({{ divide('won_n', 'n') }} as decimal(9, 6)) as observed_share
    from scores
    where
        scope in ('team', 'stage_default')
        and confidence_bin is not null
        and won_n is not null
),

open_deals as (
    select
        agent_id,
        estimated_value_amount is not null and value_reporting is null as is_unconverted,
        value_reporting,
        effective_confidence,
        case when is_confidence_default then 'stage_default' else 'team' end as scope,
        case when is_confidence_default then pipeline_stage end as stage,
        {{ confidence_bin('effective_confidence') }} as confidence_bin
    from deals
    where status = 'open'
),

-- A bin of too few deals says nothing: there the confidence stands as it is.
weighed as (
    select
        open_deals.agent_id,
        open_deals.is_unconverted,
        open_deals.value_reporting,
        open_deals.value_reporting * open_deals.effective_confidence as weighted_value,
        case when observed.observed_share is not null then open_deals.value_reporting end as calibrated_value,
        open_deals.value_reporting * coalesce(observed.observed_share, open_deals.effective_confidence)
            as recalibrated_value
    from open_deals
    left join observed
        on
            open_deals.scope = observed.scope
            and open_deals.stage is not distinct from observed.stage
            and open_deals.confidence_bin = observed.confidence_bin
),

totals as (
    select
        agent_id,
        count(*) as deals_open,
        sum(case when is_unconverted then 1 else 0 end) as unconverted_count,
        coalesce(sum(value_reporting), 0) as gross_pipeline_value,
        coalesce(sum(weighted_value), 0) as weighted_pipeline_value,
        coalesce(sum(recalibrated_value), 0) as recalibrated_pipeline_value,
        coalesce(sum(calibrated_value), 0) as calibrated_value
    from weighed
    group by
        grouping sets (
            (agent_id), ()
        )
),

-- Every agent has a row, with or without open deals; the team's is null.
rows_wanted as (
    select
        agent_id,
        agent_name
    from agents
    union all
    select
        null as agent_id,
        null as agent_name
    from agents
    having count(*) > 0
),

final as (
    select
        rows_wanted.agent_id,
        rows_wanted.agent_name,
        {{ reporting_currency() }} as reporting_currency,
        {{ count_of('coalesce(totals.deals_open, 0)') }} as deals_open,
        {{ count_of('coalesce(totals.unconverted_count, 0)') }} as unconverted_count,
        {{ money_total('coalesce(totals.gross_pipeline_value, 0)') }} as gross_pipeline_value,
        {{ money_total('coalesce(totals.weighted_pipeline_value, 0)') }} as weighted_pipeline_value,
        {{ money_total('coalesce(totals.recalibrated_pipeline_value, 0)') }} as recalibrated_pipeline_value,
        {{ money_total('coalesce(totals.calibrated_value, 0)') }} as calibrated_value,
        {{ divide('totals.calibrated_value', 'totals.gross_pipeline_value') }} as calibrated_share,
        {{ provenance() }}
    from rows_wanted
    left join totals on rows_wanted.agent_id is not distinct from totals.agent_id
)

select * from final
