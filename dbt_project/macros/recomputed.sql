{#-
Tables that are carried on: which rows a build on top of the last one computes anew. The rule stands here and in the
models that name them:
int_deals_touched, int_commissions_touched: deals and commissions with entries that the last build did not have.
int_commissions_recomputed: the latter, and whatever bears another name.
int_agents_recomputed: from which day on an agent's daily series are computed.
int_cohorts_recomputed: an agent's months whose deals are counted anew.
What says something else on another day though nothing happened (how long a visit lasts, what an open deal is worth at the
day's rate) is not stored: the mart is a view that computes it, on a table that is carried on.
-#}

{#- A run that was not told what the tables were built from builds all of them whole, whatever they hold. -#}
{% macro is_built_whole() -%}
    {%- if var('built_log_size') and not load_cached_relation(this) -%}
        {%- set table = this.schema ~ '.' ~ this.name -%}
        {{ exceptions.raise_compiler_error(table ~ ' is not there to be carried on: run without built_log_size.') }}
    {%- endif -%}
    {{ return(not var('built_log_size')) }}
{%- endmacro %}

{#-
What is to be computed anew goes, whether or not anything comes in its place. A model's `meta` names the table that says
what, its `unique_key` by what the model is carried on: a deal, a commission, an agent and a month, or an agent and a day.
Days before the first one of all to compute are not even read.
-#}
{% macro delete_recomputed(table) -%}
    {%- set recomputed = ref(config.get('meta')['recomputed']) -%}
    {%- set key = config.get('unique_key') -%}
    delete from {{ table }} as kept
    {% if key is string -%}
        where kept.{{ key }} in (select {{ key }} from {{ recomputed }})
    {%- elif recomputed.identifier != 'int_agents_recomputed' -%}
        where exists (
            select anew.*
            from {{ recomputed }} as anew
            where {% for column in key %} {{ 'and' if not loop.first }} anew.{{ column }} = kept.{{ column }} {% endfor %}
        )
    {%- else -%}
        where kept.{{ key[1] }} >= (select min(from_date) from {{ recomputed }})
        and not exists (
            select agents.agent_id
            from {{ recomputed }} as agents
            where agents.agent_id = kept.agent_id and agents.from_date > kept.{{ key[1] }}
        )
    {%- endif -%}
{%- endmacro %}

{#- Whether data tests may pass over rows of a model that this build kept: they were judged when they were written. -#}
{% macro is_carried_on(model) -%}
    {{ return(var('built_log_size') and not var('test_every_row') and model.schema == 'marts') }}
{%- endmacro %}

{#-
Whether a row of a table that is carried on was written by this build: its provenance says so. A mart that is a view on
a stored table says in its tests which rows of that were written. What this build wrote lies together, so where only that
is wanted, asking for it lets DuckDB pass over the rest unread.
-#}
{% macro is_of_this_build(written) -%}
    {{ written if written else 'log_size = ' ~ log_size() ~ ' and as_of_date = ' ~ as_of_date() }}
{%- endmacro %}
