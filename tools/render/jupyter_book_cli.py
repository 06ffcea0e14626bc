"""Jupyter Book's command, which ends with the command that started it: PARENT_PID, then Jupyter Book's own arguments.

Its console script has a first line that a path with spaces breaks.
"""

import sys

from tools.verbs import exit_with_parent

if __name__ == "__main__":
    exit_with_parent(int(sys.argv.pop(1)))
    from jupyter_book.cli.main import main

    main()
