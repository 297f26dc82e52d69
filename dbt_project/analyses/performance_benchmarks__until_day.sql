-- A figure says itself from which day on it holds, and the comparison asks.
select * from {{ ref('performance_benchmarks') }}
