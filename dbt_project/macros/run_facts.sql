{#- What a run was told: how far the log was read, and the day asked about. No model reads the clock. -#}

{% macro log_size() -%}
    cast({{ var('log_size') }} as {{ dbt.type_bigint() }})
{%- endmacro %}

{% macro as_of_date() -%}
    cast('{{ var("as_of_date") }}' as date)
{%- endmacro %}

{% macro reporting_currency() -%}
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }})
{%- endmacro %}

{#- What the tables were last built from. Only where `var('built_log_size')` is given. -#}
{% macro built_log_size() -%}
    cast({{ var('built_log_size') }} as {{ dbt.type_bigint() }})
{%- endmacro %}

{#- The first day that the tables were not built for: of all days, where they are built from nothing. -#}
{% macro day_after_built() -%}
    {%- if var('built_as_of_date') -%}
        cast({{ dbt.dateadd('day', 1, "cast('" ~ var('built_as_of_date') ~ "' as date)") }} as date)
    {%- else -%}
        cast('0001-01-01' as date)
    {%- endif -%}
{%- endmacro %}

{#-
Whether an entry, now in scope, was not when the tables were last built: written since, or of a later day than was asked
about then.
-#}
{% macro is_new_since_built() -%}
    (n >= {{ built_log_size() }} or effective_at >= {{ start_of_business_day(day_after_built()) }})
{%- endmacro %}

{#- The first moment after the day asked about: what happened from then on is outside. -#}
{% macro end_of_as_of_day() -%}
    {{ start_of_business_day(dbt.dateadd('day', 1, as_of_date())) }}
{%- endmacro %}

{#-
The three columns that close every mart row: what its numbers are a function of. In the warehouse they say which build
wrote the row; a published file states its own facts for all its rows.
-#}
{% macro provenance() -%}
    {{ as_of_date() }} as as_of_date,
    {{ log_size() }} as log_size,
    cast('{{ var("definition_version") }}' as {{ dbt.type_string() }}) as definition_version
{%- endmacro %}
