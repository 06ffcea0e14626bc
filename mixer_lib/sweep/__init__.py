"""Many runs of `train` from one file, each a fresh process, started by Ray.
It imports what `train` is asked for (`choices`) and `runs`; Ray and Optuna come with the extra `sweep`.
"""
