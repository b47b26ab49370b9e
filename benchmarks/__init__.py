"""Speed and memory of the engines, and of other simulators on the same work: ``python -m benchmarks --help``."""
