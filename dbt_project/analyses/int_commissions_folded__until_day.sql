-- What ended a revision later had not happened yet.
select
    * replace (
        case when valid_to < {{ end_of_as_of_day() }} then valid_to end as valid_to,
        case when valid_to < {{ end_of_as_of_day() }} then valid_to_date end as valid_to_date
    )
from {{ ref('int_commissions_folded') }}
where valid_from < {{ end_of_as_of_day() }}
