{#-
What the costs of a reference file come to on the day asked about: months that have begun, each cost as it stands.
A cost that is corrected stands until the day from which its correction does. `costs` names the rows of the file, `amount`
its column of the money.
-#}
{% macro costs_in_force(costs, amount) -%}
    select
        reference_id,
        agent_email,
        cost_month,
        lead_source,
        amount,
        currency,
        effective_date,
        cost_source
    from (
        select
            reference_id,
            agent_email,
            lead_source,
            {{ amount }} as amount,
            currency,
            effective_date,
            source as cost_source,
            {{ first_day_of_month('month') }} as cost_month,
            row_number() over (
                partition by agent_email, month, lead_source, currency order by effective_date desc
            ) as revisions_from_last
        from {{ costs }}
        where effective_date <= {{ as_of_date() }}
    ) as known_that_day
    where
        revisions_from_last = 1
        and cost_month <= {{ as_of_date() }}
{%- endmacro %}
