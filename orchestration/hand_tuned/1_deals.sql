-- The marts by hand, for speed: a yardstick of what dbt builds, and a second count of every number.
-- Variables of the session say what a run is about: log_size, as_of_date, definition_version, business_timezone,
-- reporting_currency, home_region, conversion_window_days, and seeds (the folder of dbt's seeds).
-- The files are run in the order of their names. Nothing is materialised but marts and what several of them read.
--
-- Keys are whole numbers inside: a deal is the `n` of its first entry, an agent a number, a stage its order, and
-- cancelling is an eleventh stage (`word`), so that one history tells stage and status.

SET VARIABLE day_end = (getvariable('as_of_date') + 1)::TIMESTAMP AT TIME ZONE getvariable('business_timezone');

CREATE TEMP MACRO business_day(moment) AS (moment AT TIME ZONE getvariable('business_timezone'))::DATE;
CREATE TEMP MACRO spanned(earlier, later) AS epoch_us(later) - epoch_us(earlier);
CREATE TEMP MACRO share(part, whole) AS part::DOUBLE / nullif(whole::DOUBLE, 0);
CREATE TEMP MACRO in_days(microseconds) AS microseconds::DOUBLE / 86400000000::DOUBLE;
CREATE TEMP MACRO exact(amount) AS amount::DECIMAL(24, 4);
-- Rounded in 64 bits where it fits: dividing 128-bit integers is ten times as dear.
CREATE TEMP MACRO cents(amount) AS
    CASE WHEN amount BETWEEN -90000000000000 AND 90000000000000
        THEN amount::DECIMAL(18, 4)::DECIMAL(18, 2)::DECIMAL(38, 2) ELSE amount::DECIMAL(38, 2) END;
CREATE TEMP MACRO in_reporting(amount, currency, rate) AS
    CASE WHEN currency = getvariable('reporting_currency') THEN exact(amount) ELSE exact(exact(amount) * rate) END;

CREATE TEMP TABLE stages AS
SELECT stage, stage_order::UTINYINT AS word, is_open::BOOLEAN AS is_open, limit_days::BIGINT AS limit_days,
    default_confidence::DECIMAL(4, 2) AS default_confidence,
    CASE WHEN is_open::BOOLEAN THEN 'open' ELSE stage END AS status
FROM read_csv(getvariable('seeds') || '/pipeline_stages.csv', header = true, all_varchar = true)
UNION ALL SELECT 'cancelled', 11, false, NULL, NULL, 'cancelled';

-- A rate for every day since the first one; the reporting currency needs none.
CREATE TEMP TABLE rates AS
SELECT currency, rate, (effective_date + unnest(range(0, until - effective_date))::INT)::DATE AS day
FROM (
    SELECT from_currency AS currency, rate, effective_date,
        coalesce(lead(effective_date) OVER (PARTITION BY from_currency ORDER BY effective_date), getvariable('as_of_date') + 1)
            AS until
    FROM raw.fx_rates
    WHERE to_currency = getvariable('reporting_currency') AND effective_date <= getvariable('as_of_date')
);

-- Most entries move a deal and say nothing else of it (but the close date that closing sets and reopening clears).
CREATE TEMP VIEW deal_entries AS
SELECT *,
    cleared <> 'actual_close_date'
    OR coalesce(agent_id, asset_type, deal_type, estimated_value_currency, lead_source, external_ref, project_id,
        property_id) IS NOT NULL
    OR estimated_value_amount IS NOT NULL OR confidence IS NOT NULL OR expected_close_date IS NOT NULL AS says
FROM raw.deal_events
WHERE n < getvariable('log_size') AND effective_at < getvariable('day_end');

-- What is said (owner, value, ...) is folded over the others alone.
CREATE TEMP TABLE statements AS
SELECT n AS said_n,
    last_value(agent_id IGNORE NULLS) OVER said_so_far AS agent_id,
    last_value(asset_type IGNORE NULLS) OVER said_so_far AS asset_type,
    last_value(deal_type IGNORE NULLS) OVER said_so_far AS deal_type,
    last_value(estimated_value_currency IGNORE NULLS) OVER said_so_far AS currency,
    -- Set to null is told from not mentioned by a value that cannot be.
    nullif(last_value(coalesce(estimated_value_amount, CASE WHEN contains(cleared, 'estimated_value_amount') THEN -1 END)
        IGNORE NULLS) OVER said_so_far, -1) AS amount,
    nullif(last_value(coalesce(confidence, CASE WHEN contains(cleared, 'confidence') THEN (-1)::DECIMAL(4, 2) END)
        IGNORE NULLS) OVER said_so_far, -1) AS confidence,
    nullif(last_value(coalesce(expected_close_date, CASE WHEN contains(cleared, 'expected_close_date') THEN DATE 'infinity' END)
        IGNORE NULLS) OVER said_so_far, DATE 'infinity') AS expected_close_date,
    nullif(last_value(coalesce(lead_source, CASE WHEN contains(cleared, 'lead_source') THEN chr(1) END)
        IGNORE NULLS) OVER said_so_far, chr(1)) AS lead_source,
    nullif(last_value(coalesce(external_ref, CASE WHEN contains(cleared, 'external_ref') THEN chr(1) END)
        IGNORE NULLS) OVER said_so_far, chr(1)) AS external_ref,
    nullif(last_value(coalesce(project_id, CASE WHEN contains(cleared, 'project_id') THEN chr(1) END)
        IGNORE NULLS) OVER said_so_far, chr(1)) AS project_id,
    nullif(last_value(coalesce(property_id, CASE WHEN contains(cleared, 'property_id') THEN chr(1) END)
        IGNORE NULLS) OVER said_so_far, chr(1)) AS property_id
FROM deal_entries
WHERE says
WINDOW said_so_far AS (PARTITION BY deal_id ORDER BY effective_at, n ROWS UNBOUNDED PRECEDING);

-- Every entry in the order in which things happened, with where the deal stood after it and before it.
CREATE TEMP TABLE history AS
WITH entries AS (
    SELECT n, deal_id, event_type, recorded_at, effective_at, actual_close_date, cleared,
        CASE WHEN event_type = 'deal.cancelled' THEN 11::UTINYINT ELSE stages.word END AS word, stages.word AS stage,
        says
    FROM deal_entries
    LEFT JOIN (SELECT n, to_stage FROM raw.stage_events) USING (n)
    LEFT JOIN stages ON to_stage = stages.stage
)
SELECT n, deal_id, event_type, recorded_at, effective_at AS valid_from, word,
    business_day(effective_at) AS valid_from_date,
    first_value(n) OVER so_far AS deal_no,
    first_value(effective_at) OVER so_far AS opened_at,
    row_number() OVER so_far AS revision,
    lead(effective_at) OVER (PARTITION BY deal_id ORDER BY effective_at, n) AS valid_to,
    business_day(valid_to) AS valid_to_date,
    last_value(stage IGNORE NULLS) OVER so_far AS stands_in,
    last_value(word IGNORE NULLS) OVER so_far AS standing,
    lag(word IGNORE NULLS) OVER (PARTITION BY deal_id ORDER BY effective_at, n) AS word_before,
    last_value(CASE WHEN says THEN n END IGNORE NULLS) OVER so_far AS said_n,
    nullif(last_value(coalesce(actual_close_date, CASE WHEN contains(cleared, 'actual_close_date') THEN DATE 'infinity' END)
        IGNORE NULLS) OVER so_far, DATE 'infinity') AS last_close_date
FROM entries
WINDOW so_far AS (PARTITION BY deal_id ORDER BY effective_at, n ROWS UNBOUNDED PRECEDING);

-- What stands after an entry into won, lost or cancelled was decided by that entry; few entries follow one.
CREATE TEMP TABLE after_closing AS
SELECT n, closed_at, closed_by
FROM (
    SELECT n, word IS DISTINCT FROM word_before AND word IS NOT NULL AS closes,
        last_value(CASE WHEN closes THEN valid_from END IGNORE NULLS) OVER closed_so_far AS closed_at,
        last_value(CASE WHEN closes THEN agent_id END IGNORE NULLS) OVER closed_so_far AS closed_by
    FROM history JOIN statements USING (said_n)
    WHERE standing >= 9 AND deal_no IN (
        SELECT deal_no FROM history WHERE standing >= 9 AND (word IS NULL OR word IS NOT DISTINCT FROM word_before)
    )
    WINDOW closed_so_far AS (PARTITION BY deal_no ORDER BY revision ROWS UNBOUNDED PRECEDING)
)
WHERE NOT closes;

CREATE TABLE marts.deal_revisions AS
SELECT h.deal_id, h.revision, h.n, h.event_type, h.valid_from, h.valid_to, h.valid_from_date, h.valid_to_date,
    h.recorded_at, s.agent_id, coalesce(a.closed_by, s.agent_id) AS credited_agent_id, s.asset_type, s.deal_type,
    place.stage AS pipeline_stage, stand.status, s.lead_source, s.amount AS estimated_value_amount,
    s.currency AS estimated_value_currency, s.confidence, s.expected_close_date,
    CASE WHEN h.standing IN (9, 10) THEN h.last_close_date END AS actual_close_date, h.opened_at,
    CASE WHEN h.standing >= 9 THEN coalesce(a.closed_at, h.valid_from) END AS closed_at,
    CASE WHEN h.standing >= 9 THEN coalesce(business_day(a.closed_at), h.valid_from_date) END AS closed_date,
    s.external_ref, s.project_id, s.property_id,
    getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM history AS h
JOIN statements AS s USING (said_n)
LEFT JOIN after_closing AS a USING (n)
LEFT JOIN stages AS place ON h.stands_in = place.word
LEFT JOIN stages AS stand ON h.standing = stand.word;

-- Moves into a stage, and cancelling; an entry that says again where the deal stands moves nothing.
CREATE TEMP TABLE moves AS
SELECT deal_no, deal_id, n, said_n, word, valid_from AS entered_at, valid_from_date AS entered_date,
    word_before > word AS turns_back,
    row_number() OVER deal_order AS place,
    lead(valid_from) OVER deal_order AS left_at,
    lead(word) OVER deal_order AS next_word,
    coalesce(next_word = word_before AND spanned(valid_from, left_at) <= 600000000, false) AS is_taken_back
FROM history
WHERE word IS DISTINCT FROM word_before AND word IS NOT NULL
WINDOW deal_order AS (PARTITION BY deal_no ORDER BY valid_from, n);

-- A run of moves that are each taken back by the next goes, with the move after it if the run is odd. What became
-- neighbours by that is looked at once more. Only deals in which something is taken back need to be.
CREATE TEMP MACRO without_undone(some_moves) AS TABLE
SELECT deal_no, deal_id, n, said_n, word, entered_at, entered_date, turns_back,
    row_number() OVER undone_order AS place,
    lead(entered_at) OVER undone_order AS left_at,
    lead(word) OVER undone_order AS next_word,
    coalesce(lag(word) OVER undone_order = next_word AND spanned(entered_at, left_at) <= 600000000, false) AS is_taken_back
FROM (
    SELECT * FROM query_table(some_moves) WHERE NOT is_taken_back
    QUALIFY (place - coalesce(lag(place) OVER (PARTITION BY deal_no ORDER BY place), 0)) % 2 = 1
)
WINDOW undone_order AS (PARTITION BY deal_no ORDER BY place);

CREATE TEMP TABLE undoing AS SELECT * FROM moves WHERE deal_no IN (SELECT deal_no FROM moves WHERE is_taken_back);
CREATE TEMP TABLE undone_once AS FROM without_undone('undoing');

-- A visit of a stage; `seen` tells which stages (bits) the deal had visited before.
CREATE TEMP TABLE visits AS
SELECT deal_no, deal_id, said_n, word, entered_at, entered_date, left_at, next_word,
    row_number() OVER visit_order AS visit,
    coalesce(bit_or(1 << word) OVER (visit_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS seen,
    (seen >> word) & 1 = 1 AS is_return,
    CASE WHEN left_at IS NOT NULL THEN spanned(entered_at, left_at)
        WHEN word <= 8 THEN spanned(entered_at, getvariable('day_end')) END AS lasted
FROM (
    SELECT deal_no, deal_id, said_n, word, entered_at, entered_date, left_at, next_word, place FROM moves
    WHERE deal_no NOT IN (SELECT deal_no FROM undoing)
    UNION ALL
    SELECT deal_no, deal_id, said_n, word, entered_at, entered_date, left_at, next_word, place
    FROM without_undone('undone_once')
)
WHERE word <= 10
WINDOW visit_order AS (PARTITION BY deal_no ORDER BY place);

CREATE TEMP TABLE returns AS
SELECT deal_no, visit, sum(lasted) OVER (PARTITION BY deal_no, word ORDER BY visit) AS lasted_in_all
FROM visits WHERE deal_no IN (SELECT deal_no FROM visits WHERE is_return);

CREATE TABLE marts.stage_visits AS
SELECT v.deal_id, v.visit, here.stage, v.entered_at, v.left_at, share(v.lasted, 1000000) AS duration_seconds,
    v.left_at IS NULL AS is_current, next_one.stage AS next_stage,
    share(CASE WHEN r.visit IS NULL THEN v.lasted ELSE r.lasted_in_all END, 1000000) AS cumulative_seconds,
    s.agent_id, getvariable('as_of_date') AS as_of_date, getvariable('log_size') AS log_size,
    getvariable('definition_version') AS definition_version
FROM visits AS v
JOIN statements AS s USING (said_n)
JOIN stages AS here USING (word)
LEFT JOIN stages AS next_one ON v.next_word = next_one.word
LEFT JOIN returns AS r USING (deal_no, visit);
