{#- Running calculations over a history. -#}

{#- A column of a sparse history as it stands at a row of the window: the last value set, or null when it was cleared since. -#}
{% macro last_set(column, window) -%}
    {{ adapter.dispatch('last_set')(column, window) }}
{%- endmacro %}

{#- The last value that is not null, up to a row of the window. -#}
{% macro last_known(expression, window) -%}
    {{ adapter.dispatch('last_known')(expression, window) }}
{%- endmacro %}

{% macro running_median(expression, window) -%}
    {{ adapter.dispatch('running_median')(expression, window) }}
{%- endmacro %}

{% macro running_product(expression, window) -%}
    {{ adapter.dispatch('running_product')(expression, window) }}
{%- endmacro %}

{% macro median(expression) -%}
    {{ adapter.dispatch('median')(expression) }}
{%- endmacro %}
