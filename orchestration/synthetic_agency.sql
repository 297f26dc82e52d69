-- A made-up agency in raw tables, of the size that the variables deals, agents and days say; same size, same rows.
-- How deals end and how long they live is as in a sample of 20,000 deals over three years (ingestion/sample_world.py): of
-- those 40 in a hundred are won, 45 lost, 3 withdrawn, 11 open, and half of the ended ones had lived 83 days.
CREATE OR REPLACE TEMP TABLE deal_plan AS
SELECT
    i,
    'deal-' || i AS deal_id,
    'agent-' || (hash(i, 1) % getvariable('agents')) AS agent_id,
    TIMESTAMPTZ '2022-01-03 01:00:00+00' + to_minutes((hash(i, 2) % (getvariable('days') * 1440))::INT) AS opened_at,
    (1 + hash(i, 3) % 6)::INT AS moves,
    (hash(i, 4) % 100)::INT AS fate,  -- under 45 won, under 95 lost, under 98 cancelled, else forgotten and open for good
    (hash(i, 5) % 100)::INT AS chance,  -- 0-1 reopened, 2-6 assigned, 7-9 undone, 10-39 value changed
    CASE WHEN hash(i, 6) % 10 = 0 THEN 'USD' ELSE 'SGD' END AS currency,
    (10000 + hash(i, 7) % 5000000)::DECIMAL(16, 2) AS amount,
    CASE WHEN hash(i, 8) % 4 > 0 THEN ((hash(i, 9) % 101)::DECIMAL(6, 2) / 100)::DECIMAL(4, 2) END AS confidence
FROM range(getvariable('deals')) t(i);

CREATE OR REPLACE TEMP TABLE deal_facts AS
WITH stages AS (
    SELECT unnest(['lead_captured', 'qualification', 'needs_analysis', 'proposal', 'negotiation', 'agreement',
        'due_diligence', 'awaiting_closure', 'closed_won', 'closed_lost']) AS stage, unnest(range(1, 11)) AS o
),
steps AS (
    SELECT p.*, k, opened_at + to_minutes((k * 18 * 1440 + hash(i, k, 10) % 10000)::INT) AS moved_at
    FROM deal_plan p, unnest(range(1, p.moves + 1)) u(k)
),
ends AS (SELECT *, opened_at + to_minutes(((moves + 1) * 18 * 1440 + hash(i, 11) % 10000)::INT) AS end_at FROM deal_plan)
SELECT i, 0 AS seq, 'deal.opened' AS event_type, 'lead_captured' AS to_stage, opened_at AS moment, agent_id AS agent, 'open' AS status
FROM deal_plan
UNION ALL SELECT i, k, 'deal.stage_changed', stage, moved_at, NULL, 'open' FROM steps JOIN stages ON o = k + 1
UNION ALL SELECT i, 20, 'deal.stage_changed', CASE WHEN fate < 45 THEN 'closed_won' ELSE 'closed_lost' END, end_at, NULL,
    CASE WHEN fate < 45 THEN 'closed_won' ELSE 'closed_lost' END FROM ends WHERE fate < 95
UNION ALL SELECT i, 20, 'deal.cancelled', NULL, end_at, NULL, 'cancelled' FROM ends WHERE fate BETWEEN 95 AND 97
UNION ALL SELECT i, 21, 'deal.reopened', 'negotiation', end_at + INTERVAL 12 DAY, NULL, 'open' FROM ends
    WHERE fate < 95 AND chance < 2
UNION ALL SELECT i, 22, 'deal.stage_changed', 'closed_won', end_at + INTERVAL 25 DAY, NULL, 'closed_won' FROM ends
    WHERE fate < 45 AND chance < 2
UNION ALL SELECT i, 15, 'deal.assigned', NULL, opened_at + to_days((5 + hash(i, 16) % 90)::INT), 'agent-' || (hash(i, 12) % getvariable('agents')), NULL
    FROM deal_plan WHERE chance BETWEEN 2 AND 6
UNION ALL SELECT i, 16, 'deal.stage_changed', 'agreement', opened_at + INTERVAL 1 HOUR, NULL, 'open'
    FROM deal_plan WHERE chance BETWEEN 7 AND 9
UNION ALL SELECT i, 17, 'deal.stage_changed', 'lead_captured', opened_at + INTERVAL 64 MINUTE, NULL, 'open'
    FROM deal_plan WHERE chance BETWEEN 7 AND 9
UNION ALL SELECT i, 18, 'deal.changed', NULL, opened_at + INTERVAL 7 DAY, NULL, NULL
    FROM deal_plan WHERE chance BETWEEN 10 AND 39;

CREATE OR REPLACE TEMP TABLE numbered AS
SELECT *, row_number() OVER (ORDER BY i, moment, seq) - 1 AS n FROM deal_facts
WHERE moment < TIMESTAMPTZ '2022-01-03 00:00:00+00' + to_days(getvariable('days')::INT);

INSERT INTO raw.deal_events
SELECT n, deal_id, event_type, agent, CASE WHEN event_type = 'deal.opened' THEN
        ['residential', 'office', 'retail', 'industrial'][(1 + hash(i, 13) % 4)::INT] END,
    CASE WHEN event_type = 'deal.opened' THEN ['buy_side', 'sell_side', 'lease'][(1 + hash(i, 14) % 3)::INT] END,
    status, CASE WHEN event_type = 'deal.opened' THEN ['portal', 'referral', 'walk_in'][(1 + hash(i, 15) % 3)::INT] END,
    CASE event_type WHEN 'deal.opened' THEN amount WHEN 'deal.changed' THEN (amount * 1.10)::DECIMAL(16, 2) END,
    CASE WHEN event_type = 'deal.opened' THEN currency END,
    CASE WHEN event_type = 'deal.opened' THEN (moment + INTERVAL 90 DAY)::DATE END,
    CASE WHEN status LIKE 'closed%' THEN moment::DATE END,
    CASE WHEN event_type = 'deal.opened' THEN confidence END,
    CASE WHEN event_type = 'deal.opened' THEN 'synthetic:' || i END, NULL, NULL,
    CASE WHEN event_type IN ('deal.reopened') THEN 'actual_close_date' END, 'importer', moment, moment
FROM numbered JOIN deal_plan USING (i) ORDER BY n;

INSERT INTO raw.stage_events
SELECT n, 'deal-' || i, 'se-' || n, event_type, NULL, to_stage, 'importer', moment, moment FROM numbered
WHERE to_stage IS NOT NULL ORDER BY n;

CREATE OR REPLACE TEMP TABLE commission_facts AS
WITH wins AS (
    SELECT i, agent_id, currency, amount, min(moment) AS won_at
    FROM numbered JOIN deal_plan USING (i) WHERE to_stage = 'closed_won' GROUP BY ALL
),
steps AS (
    SELECT *, unnest(['commission.recorded', 'commission.status_changed', 'commission.status_changed',
            'commission.status_changed', 'dispute.opened', 'dispute.resolved', 'adjustment']) AS event_type,
        unnest([NULL, 'pending', 'confirmed', 'invoiced', 'confirmed', 'disputed', NULL]) AS from_status,
        unnest(['pending', 'confirmed', 'invoiced', 'paid', 'disputed', 'confirmed', NULL]) AS to_status,
        unnest([1, 10, 24, 55, 14, 19, 60]) AS offset_days
    FROM wins
)
SELECT *, 10000000 + row_number() OVER (ORDER BY i, offset_days) AS n, won_at + to_days(offset_days::INT) AS moment FROM steps
WHERE won_at + to_days(offset_days::INT) < TIMESTAMPTZ '2022-01-03 00:00:00+00' + to_days(getvariable('days')::INT)
    AND (event_type NOT LIKE 'dispute.%' OR hash(i, 20) % 30 = 0) AND (event_type <> 'adjustment' OR hash(i, 21) % 30 = 1);

INSERT INTO raw.commission_events
SELECT n, 'commission-' || i, 'deal-' || i, event_type,
    CASE WHEN offset_days = 1 THEN agent_id END, CASE WHEN offset_days = 1 THEN 'exclusive' END,
    CASE WHEN offset_days = 1 THEN amount END, CASE WHEN offset_days = 1 THEN currency END,
    CASE WHEN offset_days = 1 THEN 0.02 END, CASE WHEN offset_days = 1 THEN (amount * 0.02)::DECIMAL(16, 2) END,
    from_status, to_status, NULL, 'importer', moment, moment
FROM commission_facts WHERE event_type <> 'adjustment' ORDER BY n;

INSERT INTO raw.disputes
SELECT n, 'dispute-' || i, 'commission-' || i, 'deal-' || i, event_type,
    CASE WHEN event_type = 'dispute.opened' THEN (amount * 0.01)::DECIMAL(16, 2) END, currency, TRUE,
    CASE WHEN event_type = 'dispute.resolved' THEN 'denied' END, to_status, 'importer', moment, moment
FROM commission_facts WHERE event_type LIKE 'dispute.%' ORDER BY n;

INSERT INTO raw.adjustments
SELECT n, 'adjustment-' || i, 'commission-' || i, 'deal-' || i, 'clawback', (amount * 0.005)::DECIMAL(16, 2), currency,
    'importer', moment, moment
FROM commission_facts WHERE event_type = 'adjustment' ORDER BY n;

INSERT INTO raw.people
SELECT 100000000 + a, 'agent-' || a, 'user.recorded', 'Agent ' || a, NULL, 'agent', TRUE, NULL, 'importer',
    TIMESTAMPTZ '2022-01-03 00:00:00+00', TIMESTAMPTZ '2022-01-03 00:00:00+00'
FROM range(getvariable('agents')) t(a);

INSERT INTO raw.fx_rates
SELECT 'fx-' || m, 'USD', 'SGD', (1.3 + (hash(m, 30) % 100)::INT / 1000)::DECIMAL(18, 8),
    (DATE '2022-05-01' + to_months(m::INT))::DATE, 'synthetic', 'fx.csv', 'f', m + 1, TIMESTAMPTZ '2022-01-03 00:00:00+00'
FROM range(getvariable('days') // 30) t(m);
