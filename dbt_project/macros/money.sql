{#- Types and roundings of money. Sums are kept exact; they are rounded to cents once, in the mart. -#}

{% macro type_money() -%}
    decimal(16, 2)
{%- endmacro %}

{% macro type_money_total() -%}
    decimal(38, 2)
{%- endmacro %}

{% macro count_of(expression) -%}
    cast({{ expression }} as {{ dbt.type_bigint() }})
{%- endmacro %}

{#- Wide enough for any sum, with the four places that value x confidence has, and room to be multiplied by a rate. -#}
{% macro type_exact_total() -%}
    decimal(24, 4)
{%- endmacro %}

{#- A total rounded to cents. -#}
{% macro money_total(expression) -%}
    {{ adapter.dispatch('money_total')(expression) }}
{%- endmacro %}

{% macro default__money_total(expression) -%}
    cast({{ expression }} as {{ type_money_total() }})
{%- endmacro %}

{#-
An amount in the reporting currency, at a dated rate; null where there is no rate. Amounts that are in it already are
not multiplied by 1: that, and the rounding after it, was most of the cost of the daily series.
-#}
{% macro convert(amount, currency, rate) -%}
    case
        when {{ currency }} = {{ reporting_currency() }} then cast({{ amount }} as {{ type_exact_total() }})
        else cast(cast({{ amount }} as {{ type_exact_total() }}) * {{ rate }} as {{ type_exact_total() }})
    end
{%- endmacro %}

{#- The same of an amount that has two places, and has them again. What needs no conversion needs no rounding either. -#}
{% macro convert_amount(amount, currency, rate) -%}
    case
        when {{ currency }} = {{ reporting_currency() }} then {{ amount }}
        else cast({{ convert(amount, currency, rate) }} as {{ type_money() }})
    end
{%- endmacro %}

{#- dbt's type_float is 32 bits wide in DuckDB, which is too narrow for a total of microseconds or of money. -#}
{% macro type_double() -%}
    double
{%- endmacro %}

{#- A share, average or ratio: null, never 0, where there is nothing to divide by. -#}
{% macro divide(numerator, denominator) -%}
    cast({{ numerator }} as {{ type_double() }}) / nullif(cast({{ denominator }} as {{ type_double() }}), 0)
{%- endmacro %}
