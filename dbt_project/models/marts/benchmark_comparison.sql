with deals as (
    select * from {{ ref('deals') }}
),

benchmarks as (
    select * from {{ ref('performance_benchmarks') }}
),

benchmark_metrics as (
    select * from {{ ref('benchmark_metrics') }}
),

closed_deals as (
    select
        credited_agent_id as agent_id,
        asset_type,
        deal_type,
        status,
        value_reporting,
        {{ microseconds_between('opened_at', 'closed_at') }} as cycle_microseconds
    from deals
    where status in ('closed_won', 'closed_lost')
),

-- Each agent's own numbers: over all deals, by asset type, by deal type, and by both (null = all).
slices as (
    select
        agent_id,
        asset_type,
        deal_type,
        count(*) as closed_n,
        {{ count_of("sum(case when status = 'closed_won' then 1 else 0 end)") }} as won_n,
        sum(case when status = 'closed_won' then value_reporting end) as won_value,
        sum(value_reporting) as closed_value,
        count(value_reporting) as valued_n,
        sum(case when status = 'closed_won' then cycle_microseconds end) as won_microseconds,
        {{ median("case when status = 'closed_won' then cycle_microseconds end") }} as median_microseconds
    from closed_deals
    group by
        grouping sets (
            (agent_id), (agent_id, asset_type), (agent_id, deal_type), (agent_id, asset_type, deal_type)
        )
),

agent_metrics as (
    select
        agent_id,
        asset_type,
        deal_type,
        'conversion_rate' as agent_metric,
        {{ divide('won_n', 'closed_n') }} as agent_value,
        closed_n as n
    from slices
    union all
    select
        agent_id,
        asset_type,
        deal_type,
        'conversion_rate_value' as agent_metric,
        {{ divide('coalesce(won_value, 0)', 'closed_value') }} as agent_value,
        valued_n as n
    from slices
    union all
    select
        agent_id,
        asset_type,
        deal_type,
        'avg_cycle_days' as agent_metric,
        {{ days_of(divide('won_microseconds', 'won_n')) }} as agent_value,
        won_n as n
    from slices
    union all
    select
        agent_id,
        asset_type,
        deal_type,
        'median_cycle_days' as agent_metric,
        {{ days_of('median_microseconds') }} as agent_value,
        won_n as n
    from slices
),

known_metrics as (
    select * from agent_metrics
    where agent_value is not null
),

comparable as (
    select
        benchmarks.*,
        benchmark_metrics.agent_metric,
        cast(benchmarks.metric_value as {{ type_double() }}) * benchmark_metrics.factor as benchmark_value
    from benchmarks
    inner join benchmark_metrics on benchmarks.metric_key = benchmark_metrics.metric_key
    where
        benchmarks.effective_date <= {{ as_of_date() }}
        and not benchmarks.is_contradicted
),

-- The more specific figure first, then the one for the home region, then the latest.
candidates as (
    select
        known_metrics.agent_id,
        known_metrics.asset_type,
        known_metrics.deal_type,
        known_metrics.agent_metric,
        known_metrics.agent_value,
        known_metrics.n,
        comparable.metric_key,
        comparable.cohort,
        comparable.benchmark_value,
        comparable.region,
        comparable.source,
        comparable.effective_date,
        row_number() over (
            partition by
                known_metrics.agent_id,
                known_metrics.asset_type,
                known_metrics.deal_type,
                comparable.metric_key,
                comparable.cohort
            order by
                case when comparable.asset_type is null then 0 else 2 end
                + case when comparable.deal_type is null then 0 else 1 end desc,
                case
                    when comparable.region = '{{ var("home_region") }}' then 1
                    when comparable.region is null then 2
                    else 3
                end,
                comparable.effective_date desc,
                comparable.region,
                comparable.reference_id
        ) as preference
    from known_metrics
    inner join comparable
        on
            known_metrics.agent_metric = comparable.agent_metric
            and (comparable.asset_type is null or known_metrics.asset_type = comparable.asset_type)
            and (comparable.deal_type is null or known_metrics.deal_type = comparable.deal_type)
),

-- The agency's own figures: from all other agents, so that nobody is compared with himself. Without the agent at
-- place r, the k-th of the rest is the k-th of all below r and the (k+1)-th from r on.
ranked as (
    select
        agent_id,
        asset_type,
        deal_type,
        agent_metric,
        agent_value,
        n,
        agent_metric in ('avg_cycle_days', 'median_cycle_days') as is_less_better,
        row_number() over (
            partition by agent_metric, asset_type, deal_type order by agent_value, agent_id
        ) as place,
        count(*) over (partition by agent_metric, asset_type, deal_type) - 1 as peers_n
    from known_metrics
),

among_peers as (
    select
        *,
        -- Counted from 0: the quartile lies between the peers at floor and ceiling of this.
        (peers_n - 1) * case when is_less_better then 0.25 else 0.75 end as quartile_position
    from ranked
    where peers_n >= 5
),

placed as (
    select
        *,
        floor(quartile_position) + case when floor(quartile_position) + 1 >= place then 2 else 1 end as lower_place,
        ceil(quartile_position) + case when ceil(quartile_position) + 1 >= place then 2 else 1 end as upper_place,
        quartile_position - floor(quartile_position) as upper_share
    from among_peers
),

-- Rounded before they are added, as whole numbers are, so that sums do not depend on their order.
peer_sums as (
    select
        agent_metric,
        asset_type,
        deal_type,
        sum(cast(agent_value as decimal(28, 9))) as value_sum
    from known_metrics
    group by agent_metric, asset_type, deal_type
),

internal_figures as (
    select
        placed.agent_id,
        placed.asset_type,
        placed.deal_type,
        placed.agent_metric,
        placed.agent_value,
        placed.n,
        placed.peers_n,
        {{ divide('peer_sums.value_sum - cast(placed.agent_value as decimal(28, 9))', 'placed.peers_n') }}
            as peers_mean,
        lower_peers.agent_value * (1 - placed.upper_share) + upper_peers.agent_value * placed.upper_share
            as peers_quartile
    from placed
    inner join peer_sums
        on
            placed.agent_metric = peer_sums.agent_metric
            and placed.asset_type is not distinct from peer_sums.asset_type
            and placed.deal_type is not distinct from peer_sums.deal_type
    inner join ranked as lower_peers
        on
            placed.agent_metric = lower_peers.agent_metric
            and placed.asset_type is not distinct from lower_peers.asset_type
            and placed.deal_type is not distinct from lower_peers.deal_type
            and placed.lower_place = lower_peers.place
    inner join ranked as upper_peers
        on
            placed.agent_metric = upper_peers.agent_metric
            and placed.asset_type is not distinct from upper_peers.asset_type
            and placed.deal_type is not distinct from upper_peers.deal_type
            and placed.upper_place = upper_peers.place
),

compared as (
    select
        agent_id,
        metric_key,
        asset_type,
        deal_type,
        cohort,
        agent_metric,
        agent_value,
        benchmark_value,
        n,
        false as is_internal,
        cast(null as {{ dbt.type_bigint() }}) as peers_n,
        region,
        source,
        effective_date
    from candidates
    where preference = 1
    union all
    select
        agent_id,
        agent_metric as metric_key,
        asset_type,
        deal_type,
        'internal_avg' as cohort,
        agent_metric,
        agent_value,
        peers_mean as benchmark_value,
        n,
        true as is_internal,
        peers_n,
        null as region,
        'own agency' as source,
        {{ as_of_date() }} as effective_date
    from internal_figures
    union all
    select
        agent_id,
        agent_metric as metric_key,
        asset_type,
        deal_type,
        'top_quartile' as cohort,
        agent_metric,
        agent_value,
        peers_quartile as benchmark_value,
        n,
        true as is_internal,
        peers_n,
        null as region,
        'own agency' as source,
        {{ as_of_date() }} as effective_date
    from internal_figures
),

final as (
    select
        agent_id,
        metric_key,
        asset_type,
        deal_type,
        cohort,
        agent_metric,
        agent_value,
        benchmark_value,
        agent_value - benchmark_value as delta,
        agent_value / nullif(benchmark_value, 0) as ratio,
        n,
        is_internal,
        peers_n,
        region,
        source,
        effective_date,
        {{ provenance() }}
    from compared
)

select * from final
