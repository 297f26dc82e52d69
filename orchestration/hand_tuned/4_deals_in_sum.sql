-- What is said of deals as they stand: how they convert, how long they take, how they slip, and how sure people were.

CREATE TABLE marts.deals AS
WITH last_visits AS (SELECT deal_id, max(entered_at) AS entered_at FROM visits GROUP BY deal_id)
SELECT r.deal_id, r.external_ref, r.agent_id, agent_name, r.credited_agent_id, r.asset_type, r.deal_type, r.pipeline_stage,
    r.status, r.lead_source, r.estimated_value_amount, r.estimated_value_currency,
    CASE WHEN r.estimated_value_currency = getvariable('reporting_currency') THEN r.estimated_value_amount
        ELSE in_reporting(r.estimated_value_amount, r.estimated_value_currency, rate)::DECIMAL(16, 2) END AS value_reporting,
    r.confidence, coalesce(r.confidence, default_confidence) AS effective_confidence,
    r.confidence IS NULL AS is_confidence_default, r.expected_close_date, r.actual_close_date, r.opened_at,
    business_day(r.opened_at) AS opened_date, r.closed_at, r.closed_date, v.entered_at AS stage_entered_at,
    CASE WHEN r.status = 'open' THEN in_days(spanned(v.entered_at, getvariable('day_end'))) END AS days_in_stage,
    CASE WHEN r.status = 'open' THEN limit_days END AS stage_limit_days,
    CASE WHEN r.status = 'open' THEN spanned(v.entered_at, getvariable('day_end')) > limit_days * 86400000000 END AS is_rotting,
    CASE WHEN r.status = 'closed_won' THEN in_days(spanned(r.opened_at, r.closed_at)) END AS cycle_days,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM marts.deal_revisions AS r
JOIN last_visits AS v USING (deal_id)
JOIN stages ON r.pipeline_stage = stages.stage
JOIN agents ON r.agent_id = agents.agent_id
LEFT JOIN rates ON r.estimated_value_currency = rates.currency
    AND coalesce(r.closed_date, getvariable('as_of_date')) = rates.day
WHERE r.valid_to IS NULL;

-- Mostly the next visit is of a later stage, and then it tells when the deal went on. Where a deal turned back or was
-- lost and reopened, all its later visits are looked through.
CREATE TABLE marts.stage_conversion AS
WITH first_entries AS (
    SELECT deal_no, deal_id, said_n, visit, word, entered_at, entered_date,
        CASE WHEN next_word BETWEEN word + 1 AND 9 THEN left_at END AS next_reached_at
    FROM visits WHERE NOT is_return AND word <= 8
),
turning AS (SELECT deal_no FROM moves WHERE turns_back),
reached_later AS (
    SELECT e.deal_no, e.visit, min(later.entered_at) AS reached_at
    FROM first_entries AS e
    JOIN visits AS later ON e.deal_no = later.deal_no AND e.visit < later.visit AND later.word BETWEEN e.word + 1 AND 9
    WHERE e.next_reached_at IS NULL AND e.deal_no IN (FROM turning)
    GROUP BY e.deal_no, e.visit
),
judged AS (
    SELECT s.agent_id, d.asset_type, d.deal_type, e.word, date_trunc('month', e.entered_date)::DATE AS cohort_month,
        getvariable('conversion_window_days') * 86400000000 AS time_allowed,
        coalesce(spanned(e.entered_at, coalesce(e.next_reached_at, l.reached_at)) <= time_allowed, false) AS is_reached,
        NOT is_reached AND d.status = 'open' AND spanned(e.entered_at, getvariable('day_end')) < time_allowed AS is_pending
    FROM first_entries AS e
    JOIN statements AS s USING (said_n)
    JOIN marts.deals AS d USING (deal_id)
    LEFT JOIN reached_later AS l USING (deal_no, visit)
)
SELECT agent_id, asset_type, deal_type, stage, word::BIGINT AS stage_order, cohort_month, count(*) AS entered_n,
    count(*) FILTER (is_reached) AS reached_n, count(*) FILTER (is_pending) AS pending_n,
    share(reached_n, entered_n) AS conversion_rate, share(entered_n - pending_n, entered_n) AS maturity,
    getvariable('conversion_window_days')::BIGINT AS window_days,
    'first entry of the deal; any later stage but closed_lost; skipped counts' AS rules,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM judged JOIN stages USING (word)
GROUP BY agent_id, asset_type, deal_type, stage, word, cohort_month;

-- Kaplan-Meier: a deal that is won when r are left makes the share that is still open (r - 1) / r of what it was; of
-- equal lengths the won come first, so the last of them leaves the share that holds for the length.
CREATE TABLE marts.cycle_times AS
WITH observed AS (
    SELECT credited_agent_id AS agent_id, asset_type, deal_type, status = 'closed_won' AS is_won,
        spanned(opened_at, coalesce(closed_at, getvariable('day_end'))) AS length
    FROM marts.deals WHERE status IN ('open', 'closed_won')
),
scoped AS (
    SELECT agent_id, asset_type, deal_type, is_won, length FROM observed
    UNION ALL SELECT agent_id, NULL, NULL, is_won, length FROM observed
    UNION ALL SELECT NULL, asset_type, deal_type, is_won, length FROM observed
    UNION ALL SELECT NULL, NULL, NULL, is_won, length FROM observed
),
totals AS (
    SELECT agent_id, asset_type, deal_type, count(*) FILTER (is_won) AS won_n, count(*) FILTER (NOT is_won) AS open_n,
        sum(length) FILTER (is_won) AS total, median(length) FILTER (is_won) AS middle
    FROM scoped GROUP BY agent_id, asset_type, deal_type
),
at_risk AS (
    SELECT agent_id, asset_type, deal_type, is_won, length,
        row_number() OVER (PARTITION BY agent_id, asset_type, deal_type ORDER BY length DESC, is_won) AS left_open
    FROM scoped
),
km AS (
    SELECT agent_id, asset_type, deal_type, min(length) AS half
    FROM (
        SELECT agent_id, asset_type, deal_type, length,
            product(CASE WHEN is_won THEN (left_open - 1) / left_open ELSE 1 END) OVER (
                PARTITION BY agent_id, asset_type, deal_type ORDER BY left_open DESC ROWS UNBOUNDED PRECEDING
            ) AS still_open
        FROM at_risk
    )
    WHERE still_open <= 0.5 + 1e-9
    GROUP BY agent_id, asset_type, deal_type
),
wanted AS (
    SELECT agent_id, asset_type, deal_type FROM totals UNION SELECT agent_id, NULL, NULL FROM agents
)
SELECT w.agent_id, agent_name, w.asset_type, w.deal_type, coalesce(won_n, 0) AS won_n, coalesce(open_n, 0) AS open_n,
    in_days(share(total, won_n)) AS avg_cycle_days, in_days(middle) AS median_cycle_days,
    in_days(half) AS km_median_cycle_days, getvariable('as_of_date') AS as_of_date,
    getvariable('log_size') AS log_size, getvariable('definition_version') AS definition_version
FROM wanted AS w
LEFT JOIN totals AS t ON w.agent_id IS NOT DISTINCT FROM t.agent_id AND w.asset_type IS NOT DISTINCT FROM t.asset_type
    AND w.deal_type IS NOT DISTINCT FROM t.deal_type
LEFT JOIN km AS k ON w.agent_id IS NOT DISTINCT FROM k.agent_id AND w.asset_type IS NOT DISTINCT FROM k.asset_type
    AND w.deal_type IS NOT DISTINCT FROM k.deal_type
LEFT JOIN agents ON w.agent_id = agents.agent_id;

-- Only statements change the date; a cleared date is no date, so the one before it is compared with the one after it.
CREATE TABLE marts.close_date_slip AS
WITH stated AS (
    SELECT deal_id, revision, expected_close_date AS expected,
        expected_close_date - lag(expected_close_date) OVER (PARTITION BY deal_id ORDER BY revision) AS moved
    FROM marts.deal_revisions WHERE expected_close_date IS NOT NULL
),
slipped AS (
    SELECT deal_id, arg_min(expected, revision) AS first_expected_date, arg_max(expected, revision) AS last_expected_date,
        count(*) FILTER (moved > 0) AS pushes, count(*) FILTER (moved < 0) AS pulls,
        coalesce(sum(moved) FILTER (moved > 0), 0)::BIGINT AS days_pushed
    FROM stated GROUP BY deal_id
)
SELECT deal_id, d.agent_id, d.credited_agent_id, d.status, first_expected_date, last_expected_date, d.closed_date, pushes,
    pulls, days_pushed, last_expected_date - first_expected_date AS days_slipped,
    CASE WHEN d.status IN ('closed_won', 'closed_lost') THEN d.closed_date - first_expected_date END AS days_late_at_close,
    CASE WHEN d.status = 'open' AND d.expected_close_date IS NOT NULL
        THEN greatest(getvariable('as_of_date') - d.expected_close_date, 0) END AS days_overdue,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM slipped JOIN marts.deals AS d USING (deal_id);

CREATE TEMP MACRO bin_of(confidence) AS least(floor(confidence * 5) / 5, 0.8)::DECIMAL(4, 2);

CREATE TABLE marts.confidence_calibration AS
WITH decided AS (
    SELECT deal_id, credited_agent_id, closed_at, closed_date, status = 'closed_won' AS is_won,
        closed_at - INTERVAL 30 DAY AS judged_at
    FROM marts.deals WHERE status IN ('closed_won', 'closed_lost')
)
SELECT deal_id, r.agent_id, c.credited_agent_id, r.pipeline_stage AS stage, judged_at, c.closed_at, c.closed_date,
    coalesce(r.confidence, default_confidence) AS confidence, r.confidence IS NULL AS is_confidence_default,
    bin_of(coalesce(r.confidence, default_confidence)) AS confidence_bin, is_won,
    ((coalesce(r.confidence, default_confidence) - is_won::INTEGER)
        * (coalesce(r.confidence, default_confidence) - is_won::INTEGER))::DOUBLE AS squared_error,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM decided AS c
JOIN marts.deal_revisions AS r USING (deal_id)
JOIN stages ON r.pipeline_stage = stages.stage
WHERE r.status = 'open' AND judged_at >= r.valid_from AND judged_at < r.valid_to;

CREATE TABLE marts.calibration_scores AS
WITH scored AS (
    SELECT unnest(CASE WHEN is_confidence_default THEN ['stage_default'] ELSE ['team', 'stage', 'agent'] END) AS scope,
        CASE WHEN scope = 'agent' THEN agent_id END AS agent_id,
        CASE WHEN scope IN ('stage', 'stage_default') THEN stage END AS stage, confidence_bin, confidence, is_won
    FROM marts.confidence_calibration
),
totals AS (
    SELECT scope, agent_id, stage, confidence_bin, count(*) AS n, count(*) FILTER (is_won) AS won_n,
        sum(confidence) AS stated, sum((confidence - is_won::INTEGER) * (confidence - is_won::INTEGER)) AS squares
    FROM scored
    GROUP BY GROUPING SETS ((scope, agent_id, stage), (scope, agent_id, stage, confidence_bin))
)
SELECT scope, agent_id, agent_name, stage, confidence_bin, n, CASE WHEN n >= 20 THEN won_n END AS won_n,
    CASE WHEN n >= 20 THEN share(stated, n) END AS mean_confidence,
    CASE WHEN n >= 20 THEN share(totals.won_n, n) END AS won_share,
    CASE WHEN n >= 20 THEN share(squares, n) END AS brier_score,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM totals LEFT JOIN agents USING (agent_id);

CREATE TABLE marts.recalibrated_pipeline AS
WITH observed AS (
    SELECT scope, stage, confidence_bin, share(won_n, n)::DECIMAL(9, 6) AS observed_share
    FROM marts.calibration_scores
    WHERE scope IN ('team', 'stage_default') AND confidence_bin IS NOT NULL AND won_n IS NOT NULL
),
weighed AS (
    SELECT d.agent_id, d.value_reporting AS value, d.estimated_value_amount IS NOT NULL AND value IS NULL AS is_unconverted,
        d.effective_confidence, observed_share
    FROM marts.deals AS d
    LEFT JOIN observed AS o ON bin_of(d.effective_confidence) = o.confidence_bin
        AND CASE WHEN d.is_confidence_default THEN o.scope = 'stage_default' AND o.stage = d.pipeline_stage
            ELSE o.scope = 'team' END
    WHERE d.status = 'open'
),
totals AS (
    SELECT agent_id, count(*) AS deals_open, count(*) FILTER (is_unconverted) AS unconverted_count, sum(value) AS gross,
        sum(value * effective_confidence) AS weighted,
        sum(value * coalesce(observed_share, effective_confidence)) AS recalibrated,
        sum(value) FILTER (observed_share IS NOT NULL) AS calibrated
    FROM weighed GROUP BY GROUPING SETS ((agent_id), ())
)
SELECT w.agent_id, w.agent_name, getvariable('reporting_currency') AS reporting_currency,
    coalesce(deals_open, 0) AS deals_open, coalesce(unconverted_count, 0) AS unconverted_count,
    cents(coalesce(gross, 0)) AS gross_pipeline_value, cents(coalesce(weighted, 0)) AS weighted_pipeline_value,
    cents(coalesce(recalibrated, 0)) AS recalibrated_pipeline_value, cents(coalesce(calibrated, 0)) AS calibrated_value,
    share(coalesce(calibrated, 0), gross) AS calibrated_share, getvariable('as_of_date') AS as_of_date,
    getvariable('log_size') AS log_size, getvariable('definition_version') AS definition_version
FROM (
    SELECT agent_id, agent_name FROM agents UNION ALL SELECT NULL, NULL FROM agents HAVING count(*) > 0
) AS w
LEFT JOIN totals AS t ON w.agent_id IS NOT DISTINCT FROM t.agent_id;
