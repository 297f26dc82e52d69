-- What lead sources bring and cost, what the agency keeps, what is left of targets, and how others do.

CREATE TEMP MACRO month_of(period) AS (period || '-01')::DATE;

-- A cost stands until the day from which its correction does. The feed speaks where the books are silent: never of an
-- agent, source and month for which they state a cost; nor for the whole agency where anything finer is stated.
CREATE TEMP TABLE lead_costs AS
WITH books AS (
    SELECT agent_email, month_of(month) AS month, lead_source, arg_max(amount, effective_date) AS amount, currency
    FROM raw.agent_costs
    WHERE effective_date <= getvariable('as_of_date') AND month_of(month) <= getvariable('as_of_date')
    GROUP BY agent_email, month, lead_source, currency
),
feed AS (
    SELECT agent_email, month_of(month) AS month, lead_source, arg_max(cost_amount, effective_date) AS amount, currency
    FROM raw.roi_metrics
    WHERE effective_date <= getvariable('as_of_date') AND month_of(month) <= getvariable('as_of_date')
    GROUP BY agent_email, month, lead_source, currency
),
of_agents AS (
    SELECT *, false AS is_from_feed FROM books
    UNION ALL
    SELECT *, true FROM feed ANTI JOIN books USING (agent_email, lead_source, month) WHERE agent_email IS NOT NULL
)
FROM of_agents
UNION ALL
SELECT *, true FROM feed ANTI JOIN of_agents USING (lead_source, month) WHERE agent_email IS NULL;

CREATE TABLE marts.lead_source_roi AS
WITH facts AS (
    SELECT credited_agent_id AS agent_id, lead_source, true AS has_source, count(*) FILTER (status = 'open') AS opened,
        count(*) FILTER (status = 'closed_won') AS won, count(*) FILTER (status = 'closed_lost') AS lost,
        count(*) FILTER (status = 'cancelled') AS cancelled, sum(value_reporting) FILTER (status = 'closed_won') AS won_value,
        count(*) FILTER (status = 'closed_won' AND estimated_value_amount IS NOT NULL AND value_reporting IS NULL)
            AS won_unconverted,
        0 AS open_days, NULL AS commission, 0 AS commission_unconverted, NULL AS cost, 0 AS cost_n, 0 AS feed_n,
        0 AS cost_unconverted
    FROM marts.deals GROUP BY credited_agent_id, lead_source
    UNION ALL
    -- A revision covers the ends of the days from its own to the one before the next.
    SELECT r.agent_id, d.lead_source, true, 0, 0, 0, 0, NULL, 0,
        sum(coalesce(r.valid_to_date, getvariable('as_of_date') + 1) - r.valid_from_date), NULL, 0, NULL, 0, 0, 0
    FROM marts.deal_revisions AS r JOIN marts.deals AS d USING (deal_id)
    WHERE r.status = 'open' GROUP BY r.agent_id, d.lead_source
    UNION ALL
    SELECT t.agent_id, d.lead_source, true, 0, 0, 0, 0, NULL, 0, 0,
        in_reporting(t.amount + h.adjusted, t.currency, rate) AS converted,
        (t.amount + h.adjusted IS NOT NULL AND converted IS NULL)::INTEGER, NULL, 0, 0, 0
    FROM commission_history AS h
    JOIN terms AS t USING (said_n)
    LEFT JOIN marts.deals AS d USING (deal_id)
    LEFT JOIN rates ON t.currency = rates.currency AND business_day(h.first_confirmed_at) = rates.day
    WHERE h.valid_to IS NULL AND h.status IN ('confirmed', 'invoiced', 'paid')
    UNION ALL
    -- A cost of no source in particular counts in totals over all sources alone, one of the whole agency over all agents.
    SELECT a.agent_id, c.lead_source, c.lead_source IS NOT NULL, 0, 0, 0, 0, NULL, 0, 0, NULL, 0,
        in_reporting(c.amount, c.currency, rate) AS converted, 1, c.is_from_feed::INTEGER, (converted IS NULL)::INTEGER
    FROM lead_costs AS c
    LEFT JOIN addresses AS a ON c.agent_email = a.email
    LEFT JOIN rates ON c.currency = rates.currency AND c.month = rates.day
    WHERE c.agent_email IS NULL OR a.agent_id IS NOT NULL
),
by_both AS (
    SELECT agent_id, lead_source, has_source, sum(opened) AS opened, sum(won) AS won, sum(lost) AS lost,
        sum(cancelled) AS cancelled, sum(won_value) AS won_value, sum(won_unconverted) AS won_unconverted,
        sum(open_days) AS open_days, sum(commission) AS commission, sum(commission_unconverted) AS commission_unconverted,
        sum(cost) AS cost, sum(cost_n) AS cost_n, sum(feed_n) AS feed_n, sum(cost_unconverted) AS cost_unconverted
    FROM facts GROUP BY agent_id, lead_source, has_source
),
totals AS (
    SELECT scope, CASE WHEN scope IN ('agent_and_source', 'agent') THEN agent_id END AS agent_id,
        CASE WHEN scope IN ('agent_and_source', 'source') THEN lead_source END AS lead_source,
        sum(opened)::BIGINT AS deals_open, sum(won)::BIGINT AS deals_closed_won, sum(lost)::BIGINT AS deals_closed_lost,
        sum(cancelled)::BIGINT AS deals_cancelled, cents(coalesce(sum(won_value), 0)) AS won_value,
        sum(won_unconverted)::BIGINT AS won_unconverted_count, sum(open_days)::BIGINT AS open_days,
        cents(coalesce(sum(commission), 0)) AS confirmed_commission_amount,
        sum(commission_unconverted)::BIGINT AS commission_unconverted_count, sum(cost_n)::BIGINT AS cost_n,
        sum(feed_n)::BIGINT AS cost_from_feed_n, sum(cost_unconverted)::BIGINT AS cost_unconverted_count,
        CASE WHEN sum(cost_n) > 0 AND sum(cost_unconverted) = 0 THEN cents(coalesce(sum(cost), 0)) END AS cost_amount
    FROM by_both, (SELECT unnest(['agent_and_source', 'agent', 'source', 'team']) AS scope)
    WHERE (has_source OR scope IN ('agent', 'team')) AND (by_both.agent_id IS NOT NULL OR scope IN ('source', 'team'))
    GROUP BY ALL
)
SELECT scope, agent_id, agent_name, lead_source, getvariable('reporting_currency') AS reporting_currency, deals_open,
    deals_closed_won, deals_closed_lost, deals_cancelled, won_value, won_unconverted_count, open_days,
    confirmed_commission_amount, commission_unconverted_count,
    share(confirmed_commission_amount, won_value) AS commission_yield,
    share(confirmed_commission_amount, deals_closed_won) AS revenue_per_won_deal,
    share(confirmed_commission_amount, open_days) AS revenue_per_open_day, cost_n, cost_from_feed_n,
    cost_unconverted_count, cost_amount, share(confirmed_commission_amount - cost_amount, cost_amount) AS roi,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM totals LEFT JOIN agents USING (agent_id);

-- A file names a deal by its id or its external reference; the later amount is in force, of one day that of the id.
CREATE TABLE marts.house_share AS
WITH named AS (
    SELECT d.deal_id, a.item, a.amount, a.currency, a.effective_date, a.deal = d.deal_id AS by_id
    FROM raw.deal_commissions AS a JOIN marts.deals AS d ON a.deal = d.deal_id
    WHERE a.effective_date <= getvariable('as_of_date')
    UNION ALL
    SELECT d.deal_id, a.item, a.amount, a.currency, a.effective_date, false
    FROM raw.deal_commissions AS a JOIN marts.deals AS d ON a.deal = d.external_ref
    WHERE a.effective_date <= getvariable('as_of_date')
),
in_force AS (
    SELECT deal_id, item, amount, currency FROM named
    QUALIFY row_number() OVER (PARTITION BY deal_id, item ORDER BY effective_date DESC, by_id DESC) = 1
),
earned AS (
    SELECT e.deal_id, e.amount, e.currency, p.currency <> e.currency AS is_passed_on_otherwise,
        CASE WHEN p.currency = e.currency THEN p.amount ELSE 0 END AS passed_on
    FROM in_force AS e
    LEFT JOIN in_force AS p ON e.deal_id = p.deal_id AND p.item = 'external_co_broke'
    WHERE e.item = 'commission'
),
lined AS (
    SELECT e.deal_id, count(c.deal_id) AS lines_n,
        coalesce(sum(c.net_commission_amount) FILTER (c.basis_currency = e.currency), 0) AS agents_amount,
        count(*) FILTER (c.deal_id IS NOT NULL AND (c.net_commission_amount IS NULL OR c.basis_currency <> e.currency))
            + any_value(coalesce(e.is_passed_on_otherwise, false)::INTEGER) AS unknown_n
    FROM earned AS e
    LEFT JOIN marts.commissions AS c ON e.deal_id = c.deal_id AND c.status <> 'written_off'
    GROUP BY e.deal_id
)
SELECT e.deal_id, d.credited_agent_id, d.status, e.currency, e.amount::DECIMAL(38, 2) AS commission_amount,
    agents_amount::DECIMAL(38, 2) AS agents_amount, passed_on::DECIMAL(38, 2) AS external_co_broke_amount, lines_n,
    unknown_n::BIGINT AS unknown_n,
    CASE WHEN unknown_n = 0 THEN (e.amount - l.agents_amount - passed_on)::DECIMAL(38, 2) END AS house_share_amount,
    share(house_share_amount, e.amount) AS house_share_rate, getvariable('reporting_currency') AS reporting_currency,
    in_reporting(house_share_amount, e.currency, rate)::DECIMAL(38, 2) AS house_share_reporting,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM earned AS e
JOIN lined AS l USING (deal_id)
JOIN marts.deals AS d USING (deal_id)
LEFT JOIN rates ON e.currency = rates.currency AND coalesce(d.closed_date, getvariable('as_of_date')) = rates.day;

CREATE TABLE marts.pipeline_coverage AS
WITH quarter AS (SELECT date_trunc('quarter', getvariable('as_of_date'))::DATE AS quarter_start),
targets AS (
    SELECT a.agent_id, in_reporting(t.amount, t.currency, rate) AS amount
    FROM (
        SELECT agent_email, currency, arg_max(amount, effective_date) AS amount
        FROM raw.targets, quarter
        WHERE effective_date <= getvariable('as_of_date')
            AND raw.targets.quarter = year(quarter_start) || '-Q' || quarter(quarter_start)
        GROUP BY agent_email, currency
    ) AS t
    LEFT JOIN addresses AS a ON t.agent_email = a.email
    LEFT JOIN rates ON t.currency = rates.currency AND rates.day = getvariable('as_of_date')
    WHERE t.agent_email IS NULL OR a.agent_id IS NOT NULL
),
-- A target of which a part cannot be converted is not known.
target AS (
    SELECT agent_id, CASE WHEN count(*) = count(amount) THEN cents(sum(amount)) END AS target_amount
    FROM targets GROUP BY agent_id
),
won AS (
    SELECT credited_agent_id AS agent_id, sum(value_reporting) AS won_value
    FROM marts.deals, quarter WHERE status = 'closed_won' AND closed_date >= quarter_start GROUP BY credited_agent_id
),
by_agent AS (
    SELECT agent_id, agent_name, coalesce(weighted_pipeline_value, 0) AS weighted,
        coalesce(unconverted_count, 0) AS unconverted, coalesce(won_value, 0) AS won_value
    FROM agents
    LEFT JOIN (
        SELECT agent_id, weighted_pipeline_value, unconverted_count FROM marts.agent_performance_snapshots
        WHERE snapshot_date = getvariable('as_of_date')
    ) USING (agent_id)
    LEFT JOIN won USING (agent_id)
),
everybody AS (
    FROM by_agent
    UNION ALL
    SELECT NULL, NULL, sum(weighted), sum(unconverted), sum(won_value) FROM by_agent HAVING count(*) > 0
)
SELECT e.agent_id, e.agent_name, quarter_start, getvariable('reporting_currency') AS reporting_currency, target_amount,
    cents(won_value) AS won_value, CASE WHEN target_amount IS NOT NULL THEN cents(greatest(target_amount - won_value, 0)) END AS remaining_amount,
    cents(weighted) AS weighted_pipeline_value, unconverted::BIGINT AS unconverted_count,
    share(weighted, remaining_amount) AS pipeline_coverage,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM everybody AS e
CROSS JOIN quarter
LEFT JOIN target AS t ON e.agent_id IS NOT DISTINCT FROM t.agent_id;

CREATE TABLE marts.performance_benchmarks AS
SELECT reference_id, metric_key, asset_type, deal_type, cohort, metric_value, value_text, unit, region, effective_date,
    source, source_url, note, file_name, line,
    min(metric_value) OVER same_figure <> max(metric_value) OVER same_figure AS is_contradicted,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM raw.performance_benchmarks
WHERE valid
WINDOW same_figure AS (PARTITION BY metric_key, asset_type, deal_type, cohort, region, effective_date);

CREATE TABLE marts.benchmark_comparison AS
WITH slices AS (
    SELECT credited_agent_id AS agent_id, asset_type, deal_type, count(*) AS closed_n,
        count(*) FILTER (status = 'closed_won') AS won_n, sum(value_reporting) FILTER (status = 'closed_won') AS won_value,
        sum(value_reporting) AS closed_value, count(value_reporting) AS valued_n,
        sum(spanned(opened_at, closed_at)) FILTER (status = 'closed_won') AS total,
        median(spanned(opened_at, closed_at)) FILTER (status = 'closed_won') AS middle
    FROM marts.deals
    WHERE status IN ('closed_won', 'closed_lost')
    GROUP BY GROUPING SETS (
        (credited_agent_id), (credited_agent_id, asset_type), (credited_agent_id, deal_type),
        (credited_agent_id, asset_type, deal_type)
    )
),
own AS (
    FROM (
        SELECT agent_id, asset_type, deal_type,
            unnest(['conversion_rate', 'conversion_rate_value', 'avg_cycle_days', 'median_cycle_days']) AS metric,
            unnest([share(won_n, closed_n), share(coalesce(won_value, 0), closed_value), in_days(share(total, won_n)),
                in_days(middle)]) AS value,
            unnest([closed_n, valued_n, won_n, won_n]) AS n
        FROM slices
    )
    WHERE value IS NOT NULL
),
published AS (
    SELECT b.*, agent_metric, b.metric_value::DOUBLE * factor::DECIMAL(9, 6) AS benchmark_value,
        (b.asset_type IS NOT NULL)::INTEGER * 2 + (b.deal_type IS NOT NULL)::INTEGER AS specific,
        CASE WHEN region = getvariable('home_region') THEN 1 WHEN region IS NULL THEN 2 ELSE 3 END AS distance
    FROM marts.performance_benchmarks AS b
    JOIN read_csv(getvariable('seeds') || '/benchmark_metrics.csv', header = true, all_varchar = true) USING (metric_key)
    WHERE b.effective_date <= getvariable('as_of_date') AND NOT b.is_contradicted
),
-- The more specific figure first, then the home region's, then the latest.
compared AS (
    SELECT o.agent_id, p.metric_key, o.asset_type, o.deal_type, p.cohort, o.metric, o.value, p.benchmark_value, o.n,
        false AS is_internal, NULL::BIGINT AS peers_n, p.region, p.source, p.effective_date
    FROM own AS o
    JOIN published AS p ON o.metric = p.agent_metric AND (p.asset_type IS NULL OR o.asset_type = p.asset_type)
        AND (p.deal_type IS NULL OR o.deal_type = p.deal_type)
    QUALIFY row_number() OVER (
        PARTITION BY o.agent_id, o.asset_type, o.deal_type, p.metric_key, p.cohort
        ORDER BY p.specific DESC, p.distance, p.effective_date DESC, p.region, p.reference_id
    ) = 1
),
-- Peers are all others who have the number, so everybody's are one list without the own place in it.
listed AS (
    SELECT metric, asset_type, deal_type, list(value ORDER BY value, agent_id) AS everyone,
        sum(value::DECIMAL(28, 9)) AS total, count(*) - 1 AS peers_n
    FROM own GROUP BY metric, asset_type, deal_type HAVING count(*) > 5
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY metric, asset_type, deal_type ORDER BY value, agent_id) AS place FROM own
),
internal AS (
    SELECT p.agent_id, p.metric, p.asset_type, p.deal_type, p.value, p.n, peers_n,
        share(total - p.value::DECIMAL(28, 9), peers_n) AS peers_mean,
        (peers_n - 1) * CASE WHEN p.metric LIKE '%cycle_days' THEN 0.25 ELSE 0.75 END AS quartile_at,
        list_concat(everyone[:place - 1], everyone[place + 1:]) AS peers,
        peers[floor(quartile_at)::BIGINT + 1] * (1 - (quartile_at - floor(quartile_at)))
            + peers[ceil(quartile_at)::BIGINT + 1] * (quartile_at - floor(quartile_at)) AS peers_quartile
    FROM placed AS p
    JOIN listed AS l ON p.metric = l.metric AND p.asset_type IS NOT DISTINCT FROM l.asset_type
        AND p.deal_type IS NOT DISTINCT FROM l.deal_type
),
everything AS (
    FROM compared
    UNION ALL
    SELECT agent_id, metric, asset_type, deal_type, unnest(['internal_avg', 'top_quartile']), metric, value,
        unnest([peers_mean, peers_quartile]), n, true, peers_n, NULL, 'own agency', getvariable('as_of_date')
    FROM internal
)
SELECT agent_id, metric_key, asset_type, deal_type, cohort, metric AS agent_metric, value AS agent_value, benchmark_value,
    value - benchmark_value AS delta, value / nullif(benchmark_value, 0) AS ratio, n, is_internal, peers_n, region, source,
    effective_date, getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM everything;
