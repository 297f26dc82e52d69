with deals as (
    select * from {{ ref('deals') }}
),

commissions as (
    select * from {{ ref('commissions') }}
),

amounts as (
    select * from {{ ref('stg_reference__deal_commissions') }}
),

rates as (
    select * from {{ ref('int_fx_rates_daily') }}
),

-- A file names a deal by its id or by its external reference.
named as (
    select
        deals.deal_id,
        amounts.item,
        amounts.amount,
        amounts.currency,
        amounts.effective_date,
        1 as precedence
    from amounts
    inner join deals on amounts.deal = deals.deal_id
    union all
    select
        deals.deal_id,
        amounts.item,
        amounts.amount,
        amounts.currency,
        amounts.effective_date,
        2 as precedence
    from amounts
    inner join deals on amounts.deal = deals.external_ref
),

-- Where it is named in both ways the later amount is in force; of one day, that of the id.
ranked as (
    select
        *,
        row_number() over (partition by deal_id, item order by effective_date desc, precedence asc) as amounts_from_last
    from named
),

in_force as (
    select
        deal_id,
        item,
        amount,
        currency
    from ranked
    where amounts_from_last = 1
),

earned as (
    select * from in_force
    where item = 'commission'
),

passed_on as (
    select * from in_force
    where item = 'external_co_broke'
),

-- A line that was written off is paid to nobody.
lines as (
    select
        deal_id,
        basis_currency as currency,
        net_commission_amount as amount
    from commissions
    where status <> 'written_off'
),

line_totals as (
    select
        earned.deal_id,
        count(lines.deal_id) as lines_n,
        sum(case when lines.currency = earned.currency then lines.amount end) as agents_amount,
        sum(
            case
                when lines.deal_id is null then 0
                when lines.amount is null or lines.currency <> earned.currency then 1
                else 0
            end
        ) as unknown_n
    from earned
    left join lines on earned.deal_id = lines.deal_id
    group by earned.deal_id
),

shared as (
    select
        earned.deal_id,
        earned.currency,
        earned.amount as commission_amount,
        line_totals.lines_n,
        line_totals.unknown_n
        + case when passed_on.currency <> earned.currency then 1 else 0 end as unknown_n,
        coalesce(line_totals.agents_amount, 0) as agents_amount,
        case when passed_on.currency = earned.currency then passed_on.amount else 0 end as external_co_broke_amount
    from earned
    inner join line_totals on earned.deal_id = line_totals.deal_id
    left join passed_on on earned.deal_id = passed_on.deal_id
),

-- A share of which a part is not known, or stands in another currency, is not known.
known as (
    select
        *,
        case
            when unknown_n = 0 then commission_amount - agents_amount - external_co_broke_amount
        end as house_share_amount
    from shared
),

final as (
    select
        known.deal_id,
        deals.credited_agent_id,
        deals.status,
        known.currency,
        {{ money_total('known.commission_amount') }} as commission_amount,
        {{ money_total('known.agents_amount') }} as agents_amount,
        {{ money_total('known.external_co_broke_amount') }} as external_co_broke_amount,
        {{ count_of('known.lines_n') }} as lines_n,
        {{ count_of('known.unknown_n') }} as unknown_n,
        case when known.house_share_amount is not null then {{ money_total('known.house_share_amount') }} end
            as house_share_amount,
        {{ divide('known.house_share_amount', 'known.commission_amount') }} as house_share_rate,
        {{ reporting_currency() }} as reporting_currency,
        cast({{ convert('known.house_share_amount', 'known.currency', 'rates.rate') }} as {{ type_money_total() }})
            as house_share_reporting,
        {{ provenance() }}
    from known
    inner join deals on known.deal_id = deals.deal_id
    left join rates
        on
            known.currency = rates.currency
            and coalesce(deals.closed_date, {{ as_of_date() }}) = rates.snapshot_date
)

select * from final
