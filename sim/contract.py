"""What the runner and its benches agree on; it imports nothing, as every start of the simulator pays for imports."""

PERIOD_NS = 10
"""Period of every bench's clock in nanoseconds."""

CONFIG_VARIABLE = "ROUNDEL_BENCH_CONFIG"
"""The environment variable that holds the path of a bench's settings, a JSON file."""
