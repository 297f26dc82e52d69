-- As with deals: only days to compute, and what stood before them as of the first.
with agents as (
    select * from {{ ref('int_agents_recomputed') }}
),

-- What came and went within a day is out. On top of the last build, what ended before the first day to compute is not
-- even read.
commission_revisions as (
    {% if var('built_log_size') %}
        select * from {{ ref('int_commissions_folded') }}
        where valid_to_date is null
        union all
        select * from {{ ref('int_commissions_folded') }}
        where
            valid_to_date > (select min(agents.from_date) from agents)
            and valid_to_date > valid_from_date
    {% else %}
        select * from {{ ref('int_commissions_folded') }}
        where valid_to_date is null or valid_to_date > valid_from_date
    {% endif %}
),

disputes as (
    select * from {{ ref('int_disputes_paired') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

-- What counted as confirmed or as disputed, and the days for which it did.
states as (
    select
        commission_revisions.agent_id,
        commission_revisions.basis_currency as currency,
        commission_revisions.valid_from_date,
        commission_revisions.valid_to_date,
        commission_revisions.net_commission_amount as confirmed_amount,
        cast(0 as {{ type_money() }}) as disputed_amount,
        0 as open_disputes,
        rates.rate as confirmation_rate,
        commission_revisions.net_commission_amount is not null and rates.rate is null as is_unconverted
    from commission_revisions
    left join rates
        on
            commission_revisions.basis_currency = rates.currency
            and commission_revisions.first_confirmed_date = rates.snapshot_date
    where commission_revisions.status in ('confirmed', 'invoiced', 'paid')
    union all
    select
        agent_id,
        currency,
        opened_date as valid_from_date,
        resolved_date as valid_to_date,
        cast(0 as {{ type_money() }}) as confirmed_amount,
        amount as disputed_amount,
        1 as open_disputes,
        cast(1 as decimal(18, 8)) as confirmation_rate,
        false as is_unconverted
    from disputes
    where resolved_date is null or resolved_date > opened_date
),

-- What stood before the agent's first day to compute stands from that day on.
computed_states as (
    select
        states.*,
        greatest(states.valid_from_date, agents.from_date) as first_date
    from states
    inner join agents
        on
            states.agent_id = agents.agent_id
            and (states.valid_to_date is null or states.valid_to_date > agents.from_date)
),

signs as (
    select 1 as sign
    union all
    select -1 as sign
),

changes as (
    select
        computed_states.*,
        signs.sign,
        case when signs.sign = 1 then computed_states.first_date else computed_states.valid_to_date end as change_date,
        case
            when signs.sign = 1 then computed_states.confirmed_amount else -computed_states.confirmed_amount
        end as signed_confirmed,
        case
            when signs.sign = 1 then computed_states.disputed_amount else -computed_states.disputed_amount
        end as signed_disputed
    from computed_states
    cross join signs
    where signs.sign = 1 or computed_states.valid_to_date is not null
),

final as (
    select
        agent_id,
        currency,
        change_date,
        coalesce(sum(signed_confirmed), 0) as confirmed_amount,
        coalesce(sum({{ convert('signed_confirmed', 'currency', 'confirmation_rate') }}), 0)
            as confirmed_at_confirmation_rate,
        {{ count_of('sum(case when is_unconverted then sign else 0 end)') }} as unconverted_commissions,
        coalesce(sum(signed_disputed), 0) as disputed_amount,
        {{ count_of('sum(sign * open_disputes)') }} as open_disputes
    from changes
    group by agent_id, currency, change_date
)

select * from final
