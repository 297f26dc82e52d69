-- A dispute that was resolved later was open.
select
    * replace (
        case when resolved_at < {{ end_of_as_of_day() }} then resolved_at end as resolved_at,
        case when resolved_at < {{ end_of_as_of_day() }} then resolved_date end as resolved_date,
        case when resolved_at < {{ end_of_as_of_day() }} then outcome end as outcome
    )
from {{ ref('int_disputes_paired') }}
where opened_at < {{ end_of_as_of_day() }}
