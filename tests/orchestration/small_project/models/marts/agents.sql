select distinct user_id as agent_id, {{ var('log_size') }} as log_size from {{ source('raw', 'people') }}
