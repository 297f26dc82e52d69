{#-
Rounding a decimal of more than 18 digits divides 128-bit integers, ten times as dear as 64-bit ones. So whatever fits
is rounded in 18 digits; the result is the same.
-#}
{% macro duckdb__money_total(expression) -%}
    case
        when {{ expression }} between -90000000000000 and 90000000000000
            then cast(cast(cast({{ expression }} as decimal(18, 4)) as decimal(18, 2)) as {{ type_money_total() }})
        else cast({{ expression }} as {{ type_money_total() }})
    end
{%- endmacro %}
