-- Commissions in the same way: what their entries say of them is folded apart from the statuses that most of them set.

CREATE TEMP VIEW commission_entries AS
SELECT *,
    coalesce(agent_id, commission_type, basis_currency, cleared) IS NOT NULL OR basis_amount IS NOT NULL
    OR commission_rate IS NOT NULL OR commission_amount IS NOT NULL AS says
FROM raw.commission_events
WHERE n < getvariable('log_size') AND effective_at < getvariable('day_end');

CREATE TEMP TABLE terms AS
SELECT n AS said_n,
    last_value(agent_id IGNORE NULLS) OVER terms_so_far AS agent_id,
    last_value(commission_type IGNORE NULLS) OVER terms_so_far AS commission_type,
    last_value(basis_amount IGNORE NULLS) OVER terms_so_far AS basis_amount,
    last_value(basis_currency IGNORE NULLS) OVER terms_so_far AS currency,
    last_value(commission_rate IGNORE NULLS) OVER terms_so_far AS commission_rate,
    nullif(last_value(coalesce(commission_amount, CASE WHEN contains(cleared, 'commission_amount') THEN -1 END)
        IGNORE NULLS) OVER terms_so_far, -1) AS amount
FROM commission_entries
WHERE says
WINDOW terms_so_far AS (PARTITION BY commission_id ORDER BY effective_at, n ROWS UNBOUNDED PRECEDING);

CREATE TEMP TABLE commission_history AS
WITH entries AS (
    SELECT n, commission_id, deal_id, event_type, to_status, effective_at, says, NULL AS adjustment FROM commission_entries
    UNION ALL
    SELECT n, commission_id, deal_id, 'commission.adjusted', NULL, effective_at, false,
        CASE WHEN adjustment_type = 'clawback' THEN -amount ELSE amount END
    FROM raw.adjustments
    WHERE n < getvariable('log_size') AND effective_at < getvariable('day_end')
)
SELECT n, commission_id, deal_id, event_type, to_status, effective_at AS valid_from,
    business_day(effective_at) AS valid_from_date,
    first_value(effective_at) OVER commission_so_far AS introduced_at,
    lead(effective_at) OVER (PARTITION BY commission_id ORDER BY effective_at, n) AS valid_to,
    business_day(valid_to) AS valid_to_date,
    lag(to_status IGNORE NULLS) OVER (PARTITION BY commission_id ORDER BY effective_at, n) AS status_before,
    last_value(to_status IGNORE NULLS) OVER commission_so_far AS status,
    last_value(CASE WHEN says THEN n END IGNORE NULLS) OVER commission_so_far AS said_n,
    coalesce(sum(adjustment) OVER commission_so_far, 0)::DECIMAL(16, 2) AS adjusted,
    min(CASE WHEN to_status IN ('confirmed', 'invoiced', 'paid') THEN effective_at END) OVER commission_so_far
        AS first_confirmed_at
FROM entries
WINDOW commission_so_far AS (PARTITION BY commission_id ORDER BY effective_at, n ROWS UNBOUNDED PRECEDING);

-- Whom the log has named with deals, commissions or a role that may have them; names as last known.
CREATE TEMP TABLE agents AS
WITH staff AS (
    SELECT user_id AS agent_id, arg_max(name, n) AS name, arg_max(role, n) AS role
    FROM raw.people WHERE n < getvariable('log_size') GROUP BY user_id
),
listed AS (
    SELECT agent_id FROM staff WHERE role IN ('agent', 'manager')
    UNION SELECT agent_id FROM statements
    UNION SELECT agent_id FROM terms
)
SELECT row_number() OVER ()::INTEGER AS agent_no, agent_id, coalesce(name, agent_id) AS agent_name
FROM listed LEFT JOIN staff USING (agent_id);

-- An address belongs to who was named with it last; who has another one by now has given it up.
CREATE TEMP TABLE addresses AS
SELECT email, arg_max(user_id, named_n) AS agent_id
FROM (
    SELECT user_id, lower(arg_max(email, n)) AS email, max(CASE WHEN email IS NOT NULL THEN n END) AS named_n
    FROM raw.people WHERE n < getvariable('log_size') GROUP BY user_id
)
WHERE email IS NOT NULL
GROUP BY email;

CREATE TEMP TABLE paired_disputes AS
SELECT o.dispute_id, o.commission_id, t.agent_id, o.amount, coalesce(o.currency, t.currency) AS currency,
    o.effective_at AS opened_at, business_day(o.effective_at) AS opened_date,
    r.effective_at AS resolved_at, business_day(r.effective_at) AS resolved_date
FROM raw.disputes AS o
JOIN commission_history USING (n)
JOIN terms AS t USING (said_n)
LEFT JOIN (
    SELECT dispute_id, effective_at FROM raw.disputes
    WHERE event_type = 'dispute.resolved' AND n < getvariable('log_size') AND effective_at < getvariable('day_end')
) AS r USING (dispute_id)
WHERE o.event_type = 'dispute.opened' AND o.n < getvariable('log_size') AND o.effective_at < getvariable('day_end');

CREATE TABLE marts.commission_status_history AS
SELECT h.commission_id, row_number() OVER status_order AS visit, h.deal_id, t.agent_id, h.to_status AS status,
    h.status_before, h.event_type AS entered_by, h.valid_from AS entered_at, h.valid_from_date AS entered_date,
    lead(h.valid_from) OVER status_order AS left_at,
    lead(h.to_status) OVER status_order AS next_status,
    left_at IS NULL AS is_current,
    CASE WHEN left_at IS NOT NULL THEN in_days(spanned(h.valid_from, left_at))
        WHEN h.to_status NOT IN ('paid', 'written_off') THEN in_days(spanned(h.valid_from, getvariable('day_end')))
        END AS duration_days,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM commission_history AS h
JOIN terms AS t USING (said_n)
WHERE h.to_status IS DISTINCT FROM h.status_before AND h.to_status IS NOT NULL
WINDOW status_order AS (PARTITION BY h.commission_id ORDER BY h.valid_from, h.n);

CREATE TABLE marts.commissions AS
WITH moved AS (
    SELECT commission_id,
        max(CASE WHEN to_status = 'confirmed' THEN valid_from END) AS confirmed_at,
        max(CASE WHEN to_status = 'invoiced' THEN valid_from END) AS invoiced_at,
        max(CASE WHEN to_status = 'paid' THEN valid_from END) AS paid_at
    FROM commission_history WHERE event_type = 'commission.status_changed' GROUP BY commission_id
),
disputed AS (
    SELECT commission_id, max(opened_at) AS disputed_at,
        CASE WHEN count(*) = count(resolved_at) THEN max(resolved_at) END AS resolved_at,
        sum(CASE WHEN resolved_at IS NULL THEN amount END) AS open_amount
    FROM paired_disputes GROUP BY commission_id
)
SELECT h.commission_id, h.deal_id, t.agent_id, agent_name, t.commission_type, t.basis_amount, t.currency AS basis_currency,
    t.commission_rate, t.amount AS commission_amount, h.adjusted AS adjustments_amount,
    (t.amount + h.adjusted)::DECIMAL(16, 2) AS net_commission_amount, h.status, h.introduced_at,
    confirmed_at, invoiced_at, paid_at, disputed_at, resolved_at,
    coalesce(open_amount, 0)::DECIMAL(16, 2) AS open_dispute_amount,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM commission_history AS h
JOIN terms AS t USING (said_n)
JOIN agents USING (agent_id)
LEFT JOIN moved USING (commission_id)
LEFT JOIN disputed USING (commission_id)
WHERE h.valid_to IS NULL;

CREATE TABLE marts.payout_velocity AS
WITH steps AS (
    SELECT agent_id, unnest(['introduced_to_confirmed', 'confirmed_to_invoiced', 'invoiced_to_paid']) AS step,
        unnest([1::BIGINT, 2, 3]) AS step_order,
        unnest([spanned(introduced_at, confirmed_at), spanned(confirmed_at, invoiced_at), spanned(invoiced_at, paid_at)])
            AS took
    FROM marts.commissions
),
measured AS (
    -- A step whose end is dated before its beginning is counted, and not averaged.
    SELECT agent_id, step, step_order, count(*) FILTER (took >= 0) AS n, count(*) FILTER (took < 0) AS out_of_order_n,
        sum(took) FILTER (took >= 0) AS total, median(took) FILTER (took >= 0) AS middle
    FROM steps WHERE took IS NOT NULL
    GROUP BY GROUPING SETS ((agent_id, step, step_order), (step, step_order))
)
SELECT agent_id, agent_name, step, step_order, n, out_of_order_n, in_days(share(total, n)) AS avg_days,
    in_days(middle) AS median_days, getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM measured LEFT JOIN agents USING (agent_id);
