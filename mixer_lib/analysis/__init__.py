"""Looking closely: probes of a trained model, costs, recorded benchmarks, runs that change one thing at a time.
It imports the core, `models`, `runs` and `speedups`.
"""
