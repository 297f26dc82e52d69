{#-
One reduction of the undo rule: `moves` without each move that the deal's next move takes back within ten minutes, and
without that next move. `moves` has deal_id, n, stage, entered_at, and no two neighbours in the same stage.
A-B-A-B is read from its beginning: the first two moves cancel each other and the third stands. In a run of k moves
that are each taken back by the next, all k go, and the move after the run goes when k is odd, being the undoing.
-#}
{% macro without_undone_moves(moves) -%}
    select
        deal_id,
        n,
        stage,
        entered_at
    from (
        select
            *,
            place - coalesce(lag(place) over (partition by deal_id order by place), 0) - 1 as taken_back_before
        from (
            select
                *,
                row_number() over deal_order as place,
                coalesce(
                    lag(stage) over deal_order = lead(stage) over deal_order
                    and {{ microseconds_between('entered_at', 'lead(entered_at) over deal_order') }} <= 600000000,
                    false
                ) as is_taken_back
            from {{ moves }}
            window deal_order as (partition by deal_id order by entered_at, n)
        ) as compared_moves
        where not is_taken_back
    ) as standing_moves
    where taken_back_before % 2 = 0
{%- endmacro %}
