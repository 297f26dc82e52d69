{#- Times: the business day of a moment, and exact spans between moments. -#}

{#- The business day on which a moment falls. -#}
{% macro business_date(moment) -%}
    {{ adapter.dispatch('business_date')(moment) }}
{%- endmacro %}

{#- The moment at which a business day begins. -#}
{% macro start_of_business_day(day) -%}
    {{ adapter.dispatch('start_of_business_day')(day) }}
{%- endmacro %}

{#- Whole microseconds from one moment to a later one. Whole numbers, so that sums do not depend on their order. -#}
{% macro microseconds_between(earlier, later) -%}
    {{ adapter.dispatch('microseconds_between')(earlier, later) }}
{%- endmacro %}

{#- Fractional days of a whole number of microseconds. -#}
{% macro days_of(microseconds) -%}
    {{ divide(microseconds, 86400000000) }}
{%- endmacro %}

{#- To be put in the select list: a row per day from the first to the last, both included. -#}
{% macro each_day(first, last) -%}
    {{ adapter.dispatch('each_day')(first, last) }}
{%- endmacro %}

{#-
To be put in the select list: a row per day from one change to the day before the next, or to the day asked about where
none comes. What changes on some days only is summed and rounded on those, and stands on the days between them.
-#}
{% macro each_day_until(change, next_change) -%}
    {{ each_day(change, 'coalesce(' ~ dbt.dateadd('day', -1, next_change) ~ ', ' ~ as_of_date() ~ ')') }}
{%- endmacro %}

{#- How long a deal may take from a stage to a later one, in microseconds. -#}
{% macro conversion_window() -%}
    ({{ var('conversion_window_days') }} * cast(86400000000 as {{ dbt.type_bigint() }}))
{%- endmacro %}

{#- Whether at a moment the window of what was entered then is still open. -#}
{% macro is_within_conversion_window(entered_at, moment) -%}
    ({{ microseconds_between(entered_at, moment) }} < {{ conversion_window() }})
{%- endmacro %}

{#- The first day of the month or quarter in which a day lies. -#}
{% macro first_of_month(day) -%}
    cast({{ dbt.date_trunc('month', day) }} as date)
{%- endmacro %}

{% macro first_of_quarter(day) -%}
    cast({{ dbt.date_trunc('quarter', day) }} as date)
{%- endmacro %}

{#- The first day of a period as reference files write it: 2024-03, 2024-Q1. -#}
{% macro first_day_of_month(text) -%}
    cast({{ text }} || '-01' as date)
{%- endmacro %}

{% macro first_day_of_quarter(text) -%}
    cast(
        substring({{ text }}, 1, 5)
        || case substring({{ text }}, 7, 1) when '1' then '01' when '2' then '04' when '3' then '07' else '10' end
        || '-01' as date
    )
{%- endmacro %}
