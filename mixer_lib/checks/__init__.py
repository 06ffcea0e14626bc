"""Arrays and splits of a reader's own: checked, and told what to do with what was received.
It imports `validation` alone.
"""
