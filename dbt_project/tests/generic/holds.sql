{#-
Named rules that hold in every row, checked in one pass. Gives the rows that break one, with the first rule they break.
A rule that is null (because a column is) counts as held. On top of the last build: in the rows that this build wrote.
-#}
{% test holds(model, rules, written=none) %}
with judged as (
    select
        *,
        case
            {% for name, rule in rules.items() -%}
            when not ({{ rule }}) then '{{ name }}'
            {% endfor %}
        end as broken_rule
    from {{ model }}
    {% if is_carried_on(model) -%}
        where {{ is_of_this_build(written) }}
    {%- endif %}
)

select * from judged
where broken_rule is not null
{% endtest %}
