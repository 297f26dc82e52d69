select n, deal_id, event_type from {{ source('raw', 'deal_events') }} where n < {{ var('log_size') }}
