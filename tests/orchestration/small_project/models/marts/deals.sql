select
    deal_id,
    count(*) as events,
    cast('{{ var("as_of_date") }}' as date) as as_of_date,
    {{ var('log_size') }} as log_size,
    '{{ var("definition_version") }}' as definition_version
from {{ ref('stg_ledger__deal_events') }}
group by deal_id
