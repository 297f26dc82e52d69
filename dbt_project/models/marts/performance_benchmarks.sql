with figures as (
    select * from {{ ref('stg_reference__performance_benchmarks') }}
),

judged as (
    select
        *,
        min(metric_value) over same_key <> max(metric_value) over same_key as is_contradicted
    from figures
    window same_key as (partition by metric_key, asset_type, deal_type, cohort, region, effective_date)
),

final as (
    select
        reference_id,
        metric_key,
        asset_type,
        deal_type,
        cohort,
        metric_value,
        value_text,
        unit,
        region,
        effective_date,
        source,
        source_url,
        note,
        file_name,
        line,
        is_contradicted,
        {{ provenance() }}
    from judged
)

select * from final
