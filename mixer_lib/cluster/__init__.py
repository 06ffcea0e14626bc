"""One training on several hosts: who they are, what they must agree on before the first step, who was lost.
It imports `compat`, `runs` and `validation`; only `speedups` imports it.
"""
