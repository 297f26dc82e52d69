-- Daily series: what stands at the end of a day is added on its first day and taken away on the day it ended; a day is
-- the running sum of that. Only days with changes are summed, and each is drawn out to the day before the next.

CREATE TEMP TABLE deal_changes AS
WITH states AS (
    SELECT a.agent_no, s.word, r.estimated_value_currency AS currency, r.valid_from_date, r.valid_to_date,
        r.estimated_value_amount AS amount, r.confidence IS NULL AS is_assumed,
        CASE WHEN s.word <= 8 THEN r.estimated_value_amount * coalesce(r.confidence, s.default_confidence) END AS weighted,
        CASE WHEN s.word IN (9, 10) THEN in_reporting(r.estimated_value_amount, r.estimated_value_currency, rate) END
            AS at_close,
        s.word IN (9, 10) AND amount IS NOT NULL AND at_close IS NULL AS is_unconverted,
        CASE WHEN s.word = 9 THEN spanned(r.opened_at, r.closed_at) END AS cycle
    FROM marts.deal_revisions AS r
    JOIN agents AS a ON r.credited_agent_id = a.agent_id
    JOIN stages AS s ON s.stage = CASE WHEN r.status = 'open' THEN r.pipeline_stage ELSE r.status END
    LEFT JOIN rates ON r.estimated_value_currency = rates.currency AND r.closed_date = rates.day
    WHERE r.valid_to_date IS NULL OR r.valid_to_date > r.valid_from_date
),
signed AS (
    SELECT agent_no, word, currency, valid_from_date AS day, 1 AS sign, amount, is_assumed, weighted, at_close, is_unconverted,
        cycle FROM states
    UNION ALL
    SELECT agent_no, word, currency, valid_to_date, -1, -amount, is_assumed, -weighted, -at_close, is_unconverted, -cycle
    FROM states WHERE valid_to_date IS NOT NULL
)
SELECT agent_no, word, currency, day, sum(sign)::BIGINT AS deals,
    coalesce(sum(sign) FILTER (amount IS NOT NULL), 0)::BIGINT AS valued,
    coalesce(sum(amount), 0) AS amount, coalesce(sum(weighted), 0) AS weighted,
    coalesce(sum(amount) FILTER (is_assumed), 0) AS assumed, coalesce(sum(at_close), 0) AS at_close,
    coalesce(sum(sign) FILTER (is_unconverted), 0)::BIGINT AS unconverted, coalesce(sum(cycle), 0)::BIGINT AS cycle
FROM signed
GROUP BY agent_no, word, currency, day;

CREATE TEMP TABLE commission_changes AS
WITH states AS (
    SELECT t.agent_id, t.currency, h.valid_from_date AS first_day, h.valid_to_date AS end_day,
        t.amount + h.adjusted AS confirmed, in_reporting(confirmed, t.currency, rate) AS in_reporting,
        confirmed IS NOT NULL AND in_reporting IS NULL AS is_unconverted, NULL::DECIMAL(16, 2) AS disputed, 0 AS disputes
    FROM commission_history AS h
    JOIN terms AS t USING (said_n)
    LEFT JOIN rates ON t.currency = rates.currency AND business_day(h.first_confirmed_at) = rates.day
    WHERE h.status IN ('confirmed', 'invoiced', 'paid') AND coalesce(h.valid_to_date > h.valid_from_date, true)
    UNION ALL
    SELECT agent_id, currency, opened_date, resolved_date, NULL, NULL, false, amount, 1
    FROM paired_disputes WHERE coalesce(resolved_date > opened_date, true)
),
signed AS (
    SELECT agent_id, currency, first_day AS day, 1 AS sign, confirmed, in_reporting, is_unconverted, disputed, disputes
    FROM states
    UNION ALL
    SELECT agent_id, currency, end_day, -1, -confirmed, -in_reporting, is_unconverted, -disputed, -disputes
    FROM states WHERE end_day IS NOT NULL
)
SELECT agent_no, currency, day, coalesce(sum(confirmed), 0) AS confirmed, coalesce(sum(in_reporting), 0) AS in_reporting,
    coalesce(sum(sign) FILTER (is_unconverted), 0)::BIGINT AS unconverted, coalesce(sum(disputed), 0) AS disputed,
    sum(disputes)::BIGINT AS disputes
FROM signed JOIN agents USING (agent_id)
GROUP BY agent_no, currency, day;

-- From the first day of which anything is known.
SET VARIABLE first_day = (
    SELECT min(day) FROM (
        SELECT min(valid_from_date) AS day FROM history UNION ALL SELECT min(valid_from_date) FROM commission_history
    )
);

CREATE TEMP MACRO each_day(first, until) AS first + unnest(range(0, coalesce(until, getvariable('as_of_date') + 1) - first))::INT;

CREATE TABLE marts.agent_currency_snapshots AS
WITH changes AS (
    SELECT agent_no, currency, day, sum(deals) FILTER (word <= 8) AS deals_open, sum(deals) FILTER (word = 9) AS deals_won,
        sum(valued) FILTER (word <= 8) AS valued, sum(disputes) AS disputes, sum(amount) FILTER (word <= 8) AS gross,
        sum(weighted) AS weighted, sum(assumed) FILTER (word <= 8) AS assumed, sum(amount) FILTER (word = 9) AS won,
        sum(amount) FILTER (word = 10) AS lost, sum(confirmed) AS confirmed, sum(disputed) AS disputed
    FROM (
        SELECT agent_no, word, currency, day, deals, valued, amount, weighted, assumed, NULL AS disputes, NULL AS confirmed,
            NULL AS disputed
        FROM deal_changes WHERE currency IS NOT NULL
        UNION ALL
        SELECT agent_no, NULL, currency, day, NULL, NULL, NULL, NULL, NULL, disputes, confirmed, disputed
        FROM commission_changes
    )
    GROUP BY agent_no, currency, day
),
levels AS (
    SELECT agent_no, currency, day,
        lead(day) OVER (PARTITION BY agent_no, currency ORDER BY day) AS next_day,
        coalesce(sum(deals_open) OVER currency_so_far, 0)::BIGINT AS deals_open,
        coalesce(sum(deals_won) OVER currency_so_far, 0)::BIGINT AS deals_closed_won,
        coalesce(sum(valued) OVER currency_so_far, 0)::BIGINT AS deals_open_with_value,
        coalesce(sum(disputes) OVER currency_so_far, 0)::BIGINT AS open_disputes,
        cents(coalesce(sum(gross) OVER currency_so_far, 0)) AS gross_pipeline_value,
        cents(coalesce(sum(weighted) OVER currency_so_far, 0)) AS weighted_pipeline_value,
        cents(coalesce(sum(assumed) OVER currency_so_far, 0)) AS value_without_confidence,
        cents(coalesce(sum(won) OVER currency_so_far, 0)) AS won_value,
        cents(coalesce(sum(lost) OVER currency_so_far, 0)) AS lost_value,
        cents(coalesce(sum(confirmed) OVER currency_so_far, 0)) AS confirmed_commission_amount,
        cents(coalesce(sum(disputed) OVER currency_so_far, 0)) AS disputed_commission_amount
    FROM changes
    WINDOW currency_so_far AS (PARTITION BY agent_no, currency ORDER BY day ROWS UNBOUNDED PRECEDING)
)
SELECT agent_id, each_day(day, next_day) AS snapshot_date, currency, deals_open, deals_closed_won, deals_open_with_value,
    open_disputes, gross_pipeline_value, weighted_pipeline_value, value_without_confidence, won_value, lost_value,
    confirmed_commission_amount, disputed_commission_amount, getvariable('as_of_date') AS as_of_date,
    getvariable('log_size') AS log_size, getvariable('definition_version') AS definition_version
FROM levels JOIN agents USING (agent_no);

-- What an agent has in a stage is worth the day's rate, so in a foreign currency the first day of a rate is one with a
-- change. What is in the reporting currency needs no more than its own changes.
CREATE TABLE marts.pipeline_stage_daily AS
WITH foreign_changes AS (
    SELECT agent_no, word, currency, day, deals, valued, amount, weighted FROM deal_changes
    WHERE word <= 8 AND currency IS DISTINCT FROM getvariable('reporting_currency')
),
with_rate_days AS (
    FROM foreign_changes
    UNION ALL
    SELECT agent_no, word, currency, effective_date, 0, 0, 0, 0
    FROM (SELECT DISTINCT agent_no, word, currency FROM foreign_changes) JOIN raw.fx_rates ON currency = from_currency
    WHERE to_currency = getvariable('reporting_currency') AND effective_date <= getvariable('as_of_date')
),
levels AS (
    SELECT agent_no, word, currency, day, lead(day) OVER (PARTITION BY agent_no, word, currency ORDER BY day) AS next_day,
        sum(sum(deals)) OVER stage_so_far AS deals, sum(sum(valued)) OVER stage_so_far AS valued,
        sum(sum(amount)) OVER stage_so_far AS amount, sum(sum(weighted)) OVER stage_so_far AS weighted
    FROM with_rate_days
    GROUP BY agent_no, word, currency, day
    WINDOW stage_so_far AS (PARTITION BY agent_no, word, currency ORDER BY day ROWS UNBOUNDED PRECEDING)
),
converted AS (
    SELECT agent_no, word, levels.day, next_day, deals, exact(exact(amount) * rate) AS amount,
        exact(exact(weighted) * rate) AS weighted, CASE WHEN rate IS NULL THEN valued ELSE 0 END AS unconverted
    FROM levels LEFT JOIN rates ON levels.currency = rates.currency AND levels.day = rates.day
),
changes AS (
    SELECT agent_no, word, day, sum(deals) AS deals, coalesce(sum(amount), 0) AS amount, coalesce(sum(weighted), 0) AS weighted,
        sum(unconverted) AS unconverted
    FROM (
        SELECT agent_no, word, day, deals, exact(amount) AS amount, exact(weighted) AS weighted, 0 AS unconverted
        FROM deal_changes WHERE word <= 8 AND currency = getvariable('reporting_currency')
        UNION ALL
        SELECT agent_no, word, day, deals, amount, weighted, unconverted FROM converted
        UNION ALL
        SELECT agent_no, word, next_day, -deals, -amount, -weighted, -unconverted FROM converted WHERE next_day IS NOT NULL
    )
    GROUP BY agent_no, word, day
),
totals AS (
    SELECT agent_no, word, day, lead(day) OVER (PARTITION BY agent_no, word ORDER BY day) AS next_day,
        (sum(deals) OVER total_so_far)::BIGINT AS deals_open,
        cents(sum(amount) OVER total_so_far) AS gross_pipeline_value,
        cents(sum(weighted) OVER total_so_far) AS weighted_pipeline_value,
        (sum(unconverted) OVER total_so_far)::BIGINT AS unconverted_count
    FROM changes
    WINDOW total_so_far AS (PARTITION BY agent_no, word ORDER BY day ROWS UNBOUNDED PRECEDING)
)
SELECT agent_id, stage, each_day(day, next_day) AS snapshot_date, deals_open, gross_pipeline_value,
    weighted_pipeline_value, unconverted_count, getvariable('as_of_date') AS as_of_date,
    getvariable('log_size') AS log_size, getvariable('definition_version') AS definition_version
FROM totals JOIN agents USING (agent_no) JOIN stages USING (word)
WHERE deals_open > 0;

-- The median cycle of an agent's won deals, day by day. Won deals are only added until one is reopened, so between two
-- reopenings a running median is exact; with each it begins again with those that are left.
CREATE TEMP TABLE medians AS
WITH wins AS (
    SELECT agent_no, spanned(opened_at, closed_at) AS cycle, min(valid_from_date) AS won_day,
        CASE WHEN bool_and(valid_to_date IS NOT NULL) THEN max(valid_to_date) END AS reopened_day
    FROM marts.deal_revisions JOIN agents ON credited_agent_id = agents.agent_id
    WHERE status = 'closed_won' AND coalesce(valid_to_date > valid_from_date, true)
    GROUP BY deal_id, agent_no, opened_at, closed_at
),
parts AS (
    SELECT agent_no, day AS part, lead(day) OVER (PARTITION BY agent_no ORDER BY day) AS part_end
    FROM (
        SELECT agent_no, min(won_day) AS day FROM wins GROUP BY agent_no
        UNION SELECT agent_no, reopened_day FROM wins WHERE reopened_day IS NOT NULL
    )
),
running AS (
    SELECT agent_no, greatest(part, won_day) AS day, median(cycle) OVER part_so_far AS middle
    FROM parts JOIN wins USING (agent_no)
    WHERE coalesce(won_day < part_end, true) AND coalesce(reopened_day >= part_end, reopened_day IS NULL)
    WINDOW part_so_far AS (
        PARTITION BY agent_no, part ORDER BY greatest(part, won_day) RANGE UNBOUNDED PRECEDING
    )
),
levels AS (
    SELECT agent_no, day, max(middle) AS middle, lead(day) OVER (PARTITION BY agent_no ORDER BY day) AS next_day
    FROM (SELECT agent_no, day, middle FROM running UNION ALL SELECT agent_no, part, NULL FROM parts)
    GROUP BY agent_no, day
)
SELECT agent_no, each_day(day, next_day) AS day, in_days(middle) AS median_cycle_days FROM levels WHERE middle IS NOT NULL;

CREATE TABLE marts.agent_performance_snapshots AS
WITH changes AS (
    SELECT agent_no, day, sum(deals) FILTER (word <= 8) AS opened, sum(deals) FILTER (word = 9) AS won,
        sum(deals) FILTER (word = 10) AS lost, sum(deals) FILTER (word = 11) AS cancelled,
        sum(at_close) FILTER (word = 9) AS won_value, sum(at_close) FILTER (word = 10) AS lost_value,
        sum(valued - unconverted) FILTER (word = 9) AS won_n, sum(unconverted) AS unconverted, sum(cycle) AS cycle,
        sum(confirmed) AS confirmed, sum(commission_unconverted) AS commission_unconverted
    FROM (
        SELECT agent_no, day, word, deals, valued, at_close, unconverted, cycle, NULL AS confirmed,
            NULL AS commission_unconverted
        FROM deal_changes
        UNION ALL
        SELECT agent_no, day, NULL, NULL, NULL, NULL, NULL, NULL, in_reporting, unconverted FROM commission_changes
        UNION ALL
        SELECT agent_no, getvariable('first_day'), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM agents WHERE getvariable('first_day') IS NOT NULL
    )
    GROUP BY agent_no, day
),
levels AS (
    SELECT agent_no, day, lead(day) OVER (PARTITION BY agent_no ORDER BY day) AS next_day,
        coalesce(sum(opened) OVER agent_so_far, 0)::BIGINT AS deals_open,
        coalesce(sum(won) OVER agent_so_far, 0)::BIGINT AS deals_closed_won,
        coalesce(sum(lost) OVER agent_so_far, 0)::BIGINT AS deals_closed_lost,
        coalesce(sum(cancelled) OVER agent_so_far, 0)::BIGINT AS deals_cancelled,
        cents(coalesce(sum(won_value) OVER agent_so_far, 0)) AS won_value,
        cents(coalesce(sum(lost_value) OVER agent_so_far, 0)) AS lost_value,
        coalesce(sum(won_n) OVER agent_so_far, 0)::BIGINT AS won_value_n,
        coalesce(sum(unconverted) OVER agent_so_far, 0)::BIGINT AS closed_unconverted_count,
        coalesce(sum(cycle) OVER agent_so_far, 0) AS cycle,
        cents(coalesce(sum(confirmed) OVER agent_so_far, 0)) AS confirmed_commission_amount,
        coalesce(sum(commission_unconverted) OVER agent_so_far, 0)::BIGINT AS commission_unconverted,
        -- Days that open deals have been open: every change counts for its own day and each one after it.
        coalesce(sum(opened * (day - getvariable('first_day'))) OVER agent_so_far, 0)::BIGINT AS open_days_not_lived
    FROM changes
    WINDOW agent_so_far AS (PARTITION BY agent_no ORDER BY day ROWS UNBOUNDED PRECEDING)
),
days AS (SELECT *, each_day(day, next_day) AS snapshot_date FROM levels),
standing AS (
    SELECT agent_id, snapshot_date, sum(in_reporting(gross_pipeline_value, own.currency, rate)) AS gross,
        sum(in_reporting(weighted_pipeline_value, own.currency, rate)) AS weighted,
        sum(in_reporting(value_without_confidence, own.currency, rate)) AS assumed,
        sum(in_reporting(disputed_commission_amount, own.currency, rate)) AS disputed,
        sum(deals_open_with_value) FILTER (rate IS NULL AND own.currency <> getvariable('reporting_currency')) AS unconverted,
        sum(open_disputes) FILTER (rate IS NULL AND own.currency <> getvariable('reporting_currency')) AS disputes_unconverted
    FROM marts.agent_currency_snapshots AS own
    LEFT JOIN rates ON own.currency = rates.currency AND snapshot_date = rates.day
    GROUP BY agent_id, snapshot_date
),
rounded AS (
    SELECT agent_id, agent_name, snapshot_date, deals_open, deals_closed_won, deals_closed_lost, deals_cancelled,
        cents(coalesce(gross, 0)) AS gross_pipeline_value, cents(coalesce(weighted, 0)) AS weighted_pipeline_value,
        cents(coalesce(assumed, 0)) AS value_without_confidence, coalesce(s.unconverted, 0)::BIGINT AS unconverted_count,
        won_value, lost_value, won_value_n, closed_unconverted_count, deals_closed_won + deals_closed_lost AS closed,
        won_value + lost_value AS closed_value, cycle, in_days(share(cycle, deals_closed_won)) AS avg_cycle_days,
        median_cycle_days, share(won_value, won_value_n) AS avg_won_value,
        share(deals_closed_won, deals_closed_won + deals_closed_lost) AS conversion_rate, confirmed_commission_amount,
        cents(coalesce(disputed, 0)) AS disputed_commission_amount,
        (commission_unconverted + coalesce(disputes_unconverted, 0))::BIGINT AS commission_unconverted_count,
        deals_open * (snapshot_date - getvariable('first_day') + 1) - open_days_not_lived AS open_days
    FROM days
    JOIN agents USING (agent_no)
    LEFT JOIN standing AS s USING (agent_id, snapshot_date)
    LEFT JOIN medians ON medians.agent_no = days.agent_no AND medians.day = snapshot_date
)
SELECT agent_id, agent_name, snapshot_date, getvariable('reporting_currency') AS reporting_currency, deals_open,
    deals_closed_won, deals_closed_lost, deals_cancelled, gross_pipeline_value, weighted_pipeline_value,
    value_without_confidence, unconverted_count, won_value, lost_value, won_value_n, closed_unconverted_count,
    deals_closed_won AS conversion_numerator, closed AS conversion_denominator, conversion_rate,
    won_value AS conversion_value_numerator, closed_value::DECIMAL(38, 2) AS conversion_value_denominator,
    share(won_value, closed_value) AS conversion_rate_value, in_days(cycle) AS cycle_days_sum, deals_closed_won AS cycle_n,
    avg_cycle_days, median_cycle_days, cents(avg_won_value) AS avg_won_value,
    CASE WHEN deals_closed_won >= 5 THEN deals_open * avg_won_value * conversion_rate / nullif(avg_cycle_days, 0) END
        AS sales_velocity_per_day,
    confirmed_commission_amount, disputed_commission_amount, commission_unconverted_count,
    share(confirmed_commission_amount, won_value) AS commission_yield,
    share(confirmed_commission_amount, deals_closed_won) AS revenue_per_won_deal, open_days,
    share(confirmed_commission_amount, open_days) AS revenue_per_open_day, getvariable('as_of_date') AS as_of_date,
    getvariable('log_size') AS log_size, getvariable('definition_version') AS definition_version
FROM rounded;
