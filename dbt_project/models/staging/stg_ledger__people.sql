-- Names and roles are labels, not facts of a day: they are taken as last known, whatever day is asked about.
with source as (
    select * from {{ source('raw', 'people') }}
),

in_scope as (
    select
        n,
        user_id,
        event_type,
        name,
        email,
        role,
        recorded_at,
        effective_at
    from source
    where n < {{ log_size() }}
)

select * from in_scope
