with commissions as (
    select * from {{ ref('commissions') }}
),

agents as (
    select * from {{ ref('int_agents_listed') }}
),

spans as (
    select
        agent_id,
        'introduced_to_confirmed' as step,
        1 as step_order,
        {{ microseconds_between('introduced_at', 'confirmed_at') }} as microseconds
    from commissions
    union all
    select
        agent_id,
        'confirmed_to_invoiced' as step,
        2 as step_order,
        {{ microseconds_between('confirmed_at', 'invoiced_at') }} as microseconds
    from commissions
    union all
    select
        agent_id,
        'invoiced_to_paid' as step,
        3 as step_order,
        {{ microseconds_between('invoiced_at', 'paid_at') }} as microseconds
    from commissions
),

-- A step whose end is dated before its beginning has no length: it is counted, not averaged.
steps as (
    select
        agent_id,
        step,
        step_order,
        microseconds < 0 as is_out_of_order,
        case when microseconds >= 0 then microseconds end as microseconds
    from spans
    where microseconds is not null
),

measured as (
    select
        agent_id,
        step,
        step_order,
        count(microseconds) as n,
        sum(case when is_out_of_order then 1 else 0 end) as out_of_order_n,
        sum(microseconds) as total_microseconds,
        {{ median('microseconds') }} as median_microseconds
    from steps
    group by
        grouping sets (
            (agent_id, step, step_order), (step, step_order)
        )
),

final as (
    select
        measured.agent_id,
        agents.agent_name,
        measured.step,
        {{ count_of('measured.step_order') }} as step_order,
        measured.n,
        {{ count_of('measured.out_of_order_n') }} as out_of_order_n,
        {{ days_of(divide('measured.total_microseconds', 'measured.n')) }} as avg_days,
        {{ days_of('measured.median_microseconds') }} as median_days,
        {{ provenance() }}
    from measured
    left join agents on measured.agent_id = agents.agent_id
)

select * from final
