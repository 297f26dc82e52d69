with people as (
    select * from {{ ref('stg_ledger__people') }}
),

as_known as (
    select
        user_id,
        lower({{ last_known('email', 'so_far') }}) as email,
        {{ last_known('case when email is not null then n end', 'so_far') }} as named_n,
        row_number() over (partition by user_id order by n desc) as entries_from_last
    from people
    window so_far as (partition by user_id order by n rows between unbounded preceding and current row)
),

-- An address that two people have had belongs to who was named with it last.
ranked as (
    select
        user_id,
        email,
        row_number() over (partition by email order by named_n desc) as holders_from_last
    from as_known
    where entries_from_last = 1 and email is not null
),

final as (
    select
        email,
        user_id as agent_id
    from ranked
    where holders_from_last = 1
)

select * from final
