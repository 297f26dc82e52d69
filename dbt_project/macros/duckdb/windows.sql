{#-
A struct around the value tells "set to null" from "not touched". Most entries clear nothing, and a null is looked through
for nothing.
-#}
{% macro duckdb__last_set(column, window) -%}
    (
        last_value(
            case
                when {{ column }} is not null or contains(',' || cleared || ',', ',{{ column }},')
                    then struct_pack(kept := {{ column }})
            end ignore nulls
        ) over {{ window }}
    ).kept
{%- endmacro %}

{% macro duckdb__last_known(expression, window) -%}
    last_value({{ expression }} ignore nulls) over {{ window }}
{%- endmacro %}

{% macro duckdb__running_median(expression, window) -%}
    median({{ expression }}) over {{ window }}
{%- endmacro %}

{% macro duckdb__running_product(expression, window) -%}
    product({{ expression }}) over {{ window }}
{%- endmacro %}

{% macro duckdb__median(expression) -%}
    median({{ expression }})
{%- endmacro %}
