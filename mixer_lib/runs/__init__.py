"""A run on disk: its folder, checkpoint and card; published and recorded runs.
It imports `compat` and `validation`, and none of the core.
"""
