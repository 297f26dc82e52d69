{#-
Tables and views made or carried on in place, in one transaction: what fails leaves the former one. The adapter's own materializations
make them under another name, rename twice and drop afterwards, with lookups of indexes and foreign keys between, which
for the small tables of a refresh takes longer than making them. Hooks, grants, indexes and persisted docs are not used in
this project and not looked at. A table without a contract may read what it held before.
-#}

{% materialization table, adapter='duckdb' %}
    {{ return(make_in_place('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(make_in_place('view')) }}
{% endmaterialization %}

{% materialization incremental, adapter='duckdb' %}
    {{ return(make_in_place('table') if is_built_whole() else carry_on_in_place()) }}
{% endmaterialization %}

{% macro make_in_place(type) -%}
    {%- set target = this.incorporate(type=type) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is not none and existing.type != type -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        {%- if type == 'table' and not config.get('contract').enforced -%}
            create or replace table {{ target }} as (
                {{ compiled_code }}
            )
        {%- else -%}
            drop {{ type }} if exists {{ target }};
            {% if type == 'table' -%}
                {{ create_table_as(False, target, compiled_code) }}
            {%- else -%}
                {{ get_create_view_as_sql(target, compiled_code) }}
            {%- endif %}
        {%- endif -%}
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{%- endmacro %}

{#-
The columns are those that the table has: a build rests on one of the same definitions alone. Of a contract it is checked
nevertheless that the query keeps to it.
-#}
{% macro carry_on_in_place() -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set computed = this.identifier ~ '__computed' -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(compiled_code) }}
    {%- endif -%}
    {%- call statement('main') -%}
        create or replace temporary table {{ computed }} as (
            {{ compiled_code }}
        );
        {{ delete_recomputed(target) }};
        insert into {{ target }} by name select * from {{ computed }};
        drop table {{ computed }}
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{%- endmacro %}
