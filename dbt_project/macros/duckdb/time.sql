{% macro duckdb__business_date(moment) -%}
    cast({{ moment }} at time zone '{{ var("business_timezone") }}' as date)
{%- endmacro %}

{% macro duckdb__start_of_business_day(day) -%}
    cast({{ day }} as timestamp) at time zone '{{ var("business_timezone") }}'
{%- endmacro %}

{% macro duckdb__microseconds_between(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }}))
{%- endmacro %}

{% macro duckdb__each_day(first, last) -%}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 day)) as date)
{%- endmacro %}
