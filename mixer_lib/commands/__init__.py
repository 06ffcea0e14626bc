"""The commands of `python -m mixer_lib`, a file each: HELP, add_arguments(parser) and run(asked, command).

They import the public names, and within `run`: `--help` is answered before Keras is imported.
"""
