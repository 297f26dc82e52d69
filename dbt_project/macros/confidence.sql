{#- Confidences are grouped in five bins by their lower bound: 0.00, 0.20, 0.40, 0.60, 0.80. A confidence of 1 is in the last. -#}
{% macro confidence_bin(confidence) -%}
    cast(case when {{ confidence }} >= 0.8 then 0.8 else floor({{ confidence }} * 5) / 5 end as decimal(4, 2))
{%- endmacro %}
