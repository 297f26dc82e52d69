{#-
Named rules that hold in every row, checked in one pass. Gives the rows that break one, with the first rule they break.
A rule that is null (because a column is) counts as held.
-#}
{% test holds(model, rules) %}
with judged as (
    select
        *,
        case
            {% for name, rule in rules.items() -%}
            when not ({{ rule }}) then '{{ name }}'
            {% endfor %}
        end as broken_rule
    from {{ model }}
)

select * from judged
where broken_rule is not null
{% endtest %}
