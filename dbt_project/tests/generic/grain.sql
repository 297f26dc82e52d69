{#-
The columns that make a row of the model unique; a null counts as a value. On top of the last build: among the rows that
this build wrote, and between them and those it kept.
-#}
{% test grain(model, columns, written=none) %}
{% set key = columns | join(', ') %}
{% if is_carried_on(model) %}
with written as (
    select {{ key }} from {{ model }}
    where {{ is_of_this_build(written) }}
),

kept as (
    select {{ key }} from {{ model }}
    where not ({{ is_of_this_build(written) }})
),

twice as (
    select {{ key }} from kept
    intersect
    select {{ key }} from written
)

select
    {{ key }},
    count(*) as row_count
from written
group by {{ key }}
having count(*) > 1
union all
select
    {{ key }},
    2 as row_count
from twice
{% else %}
select
    {{ key }},
    count(*) as row_count
from {{ model }}
group by {{ key }}
having count(*) > 1
{% endif %}
{% endtest %}
