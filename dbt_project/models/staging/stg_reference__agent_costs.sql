with source as (
    select * from {{ source('raw', 'agent_costs') }}
),

in_force as (
    {{ costs_in_force('source', 'amount') }}
)

select * from in_force
