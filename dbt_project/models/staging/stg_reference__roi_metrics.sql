with source as (
    select * from {{ source('raw', 'roi_metrics') }}
),

in_force as (
    {{ costs_in_force('source', 'cost_amount') }}
)

select * from in_force
