"""Benchmarks: what the API costs, beside what it stands on and what people use otherwise. See docs/benchmarks.md."""
