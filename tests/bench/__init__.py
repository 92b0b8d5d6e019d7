"""Benchmarks: each module with a `main` is one, run by `./scripts/bench NAME`.

Ratios within one run count, absolute figures only beside them: machines differ and are shared.
"""
