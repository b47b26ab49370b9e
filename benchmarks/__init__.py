"""Speed of the engines: ``python -m benchmarks``. Ratios within one run count; machines are noisy."""
