-- Reference figures of every kind, with what is awkward in them: an address that went to another agent, targets that are
-- revised, costs that are corrected, costs of no source and of the agency, commissions of deals by id and by reference in
-- two currencies, benchmarks that contradict each other, a rate and costs from before the first entry.
INSERT INTO raw.people SELECT 200000000 + i, 'agent-' || i, 'user.changed', NULL, 'A' || i % 9 || '@x.example', NULL, NULL,
    NULL, 'tester', now(), now() FROM range(11) t(i);
INSERT INTO raw.people SELECT 300000000, 'agent-1', 'user.changed', 'Once more', NULL, NULL, NULL, NULL, 'tester', now(), now();
INSERT INTO raw.targets SELECT 't' || i, CASE WHEN i % 9 > 0 THEN 'a' || i % 9 || '@x.example' END, '2023-Q' || 1 + i % 2,
    100000 * (i + 1), ['SGD', 'USD', 'EUR'][1 + i % 3], DATE '2022-12-01' + i::INT, 's', 'f', 'f', i, now() FROM range(50) t(i);
INSERT INTO raw.agent_costs SELECT 'c' || i, 'a' || i % 10 || '@x.example', '2022-' || lpad((1 + i % 12)::VARCHAR, 2, '0'),
    ['portal', 'referral', NULL][1 + i % 3], 100 + i, ['SGD', 'SGD', 'USD'][1 + i // 7 % 3], DATE '2022-06-01' + i::INT, 's', 'f',
    'f', i, now() FROM range(90) t(i);
INSERT INTO raw.roi_metrics SELECT 'r' || i, CASE WHEN i % 4 > 0 THEN 'a' || i % 10 || '@x.example' END,
    '2022-' || lpad((1 + i % 12)::VARCHAR, 2, '0'), ['portal', 'walk_in'][1 + i % 2], 50 + i, 'SGD', DATE '2022-06-01' + i::INT,
    's', 'f', 'f', i, now() FROM range(60) t(i);
INSERT INTO raw.deal_commissions SELECT 'd' || i, ['deal-', 'synthetic:'][1 + i % 2] || i // 3,
    ['commission', 'external_co_broke', 'commission'][1 + i % 3], 5000 + i, ['SGD', 'SGD', 'SGD', 'USD'][1 + i // 5 % 4],
    DATE '2022-06-01' + (i % 3)::INT, 's', 'f', 'f', i, now() FROM range(900) t(i);
INSERT INTO raw.performance_benchmarks SELECT 'b' || i,
    ['win_rate_pct', 'conversion_rate', 'avg_cycle_days', 'median_cycle_days', 'cap_rate'][1 + i % 5],
    CASE WHEN i % 3 = 0 THEN 'office' END, CASE WHEN i % 4 = 0 THEN 'lease' END, ['industry_avg', 'top_quartile'][1 + i % 2],
    30 + i % 11, NULL, NULL, CASE i % 7 WHEN 0 THEN 'SG' WHEN 1 THEN 'MY' END, DATE '2022-01-01' + (i % 20 * 30)::INT, 's', NULL,
    NULL, 'f', 'f', i, now(), i % 13 > 0 FROM range(400) t(i);
INSERT INTO raw.fx_rates VALUES ('early', 'USD', 'SGD', 1.25, DATE '2021-11-01', 's', 'f', 'f', 1, now());
