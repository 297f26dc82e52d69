with source as (
    select * from {{ source('raw', 'performance_benchmarks') }}
),

valid_figures as (
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
        line
    from source
    where valid
)

select * from valid_figures
