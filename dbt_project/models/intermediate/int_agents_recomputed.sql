with agents as (
    select * from {{ ref('int_agents_listed') }}
),

deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

commissions_touched as (
    select * from {{ ref('int_commissions_touched') }}
),

commission_revisions as (
    select * from {{ ref('int_commissions_folded') }}
),

days as (
    select * from {{ ref('int_days_spanned') }}
),

-- Entries are never taken back, so whoever owned a touched deal before still stands in one of its revisions.
touched as (
    select
        deal_revisions.agent_id,
        deals_touched.from_date
    from deals_touched
    inner join deal_revisions on deals_touched.deal_id = deal_revisions.deal_id
    where {{ is_of_this_build() }}
    union all
    select
        commission_revisions.agent_id,
        commissions_touched.from_date
    from commissions_touched
    inner join commission_revisions on commissions_touched.commission_id = commission_revisions.commission_id
),

first_touched as (
    select
        agent_id,
        min(from_date) as from_date
    from touched
    group by agent_id
),

first_day as (
    select min(snapshot_date) as days_begin_on from days
),

-- The agents of the last build, with their names and the first of all days then.
known_before as (
    {% if var('built_log_size') %}
        select
            agent_id,
            agent_name,
            days_begin_on
        from {{ this }}
    {% else %}
        select
            agent_id,
            agent_name,
            cast(null as date) as days_begin_on
        from agents
    {% endif %}
),

-- All days of who is new or has another name, and everybody's where the days begin earlier now. Days that were not
-- asked about before are computed for everybody.
listed as (
    select
        agents.agent_id,
        agents.agent_name,
        first_day.days_begin_on,
        coalesce(known_before.agent_name <> agents.agent_name, false) as is_renamed,
        case
            when
                known_before.agent_name = agents.agent_name
                and known_before.days_begin_on = first_day.days_begin_on
                then least(coalesce(first_touched.from_date, {{ day_after_built() }}), {{ day_after_built() }})
            else cast('0001-01-01' as date)
        end as from_date
    from agents
    cross join first_day
    left join first_touched on agents.agent_id = first_touched.agent_id
    left join known_before on agents.agent_id = known_before.agent_id
),

-- Who is no longer listed has all of his days taken away, and a row without a name, so that it is done once and that he
-- is new if he comes back.
no_longer_listed as (
    select
        known_before.agent_id,
        cast(null as {{ dbt.type_string() }}) as agent_name,
        first_day.days_begin_on,
        false as is_renamed,
        cast('0001-01-01' as date) as from_date
    from known_before
    cross join first_day
    left join agents on known_before.agent_id = agents.agent_id
    where agents.agent_id is null and known_before.agent_name is not null
),

final as (
    select * from listed
    union all
    select * from no_longer_listed
)

select * from final
