with deals_touched as (
    select * from {{ ref('int_deals_touched') }}
),

deal_revisions as (
    select * from {{ ref('deal_revisions') }}
),

stages_entered as (
    select * from {{ ref('int_stages_entered') }}
),

touched_revisions as (
    select
        deal_id,
        agent_id,
        {{ first_of_month('valid_from_date') }} as cohort_month
    from deal_revisions
    where
        deal_id in (select deals_touched.deal_id from deals_touched)
        and {{ is_of_this_build() }}
),

-- Wherever a stage of a touched deal counted before, and wherever it counts now: entries are never taken back, so its
-- owner and its month still stand in one of the deal's revisions.
touched as (
    select
        owners.agent_id,
        months.cohort_month
    from touched_revisions as owners
    inner join touched_revisions as months on owners.deal_id = months.deal_id
),

-- What was pending and has had its time since.
expired as (
    select
        agent_id,
        cohort_month
    from stages_entered
    where
        {% if var('built_log_size') %}
            status = 'open'
            and {{ is_within_conversion_window('entered_at', start_of_business_day(day_after_built())) }}
            and not {{ is_within_conversion_window('entered_at', end_of_as_of_day()) }}
        {% else %}
            false
        {% endif %}
),

final as (
    select * from touched
    union distinct
    select * from expired
)

select * from final
