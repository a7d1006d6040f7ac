"""Benchmarks: what a log call costs, how fast points arrive, what the server needs, and all that beside its peers."""
