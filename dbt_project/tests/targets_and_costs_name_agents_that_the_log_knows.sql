-- A misspelled address: its figure is left out everywhere, so somebody should hear of it.
{{ config(severity='warn') }}
with named as (
    select agent_email from {{ ref('stg_reference__targets') }}
    union distinct
    select agent_email from {{ ref('stg_reference__agent_costs') }}
    union distinct
    select agent_email from {{ ref('stg_reference__roi_metrics') }}
)

select named.agent_email
from named
left join {{ ref('int_agents_by_email') }} as known on named.agent_email = known.email
where
    named.agent_email is not null
    and known.email is null
