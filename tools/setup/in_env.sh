#!/bin/sh
# Run Python in the project's virtual environment: sh tools/setup/in_env.sh [--dev] -m tools.chapters.quick
# Any Python 3 that really runs may start tools/setup/environment.py, which then chooses and sets up the one to use.
CDPATH= cd -- "$(dirname -- "$0")/../.." || exit 2
# a reader's settings of Python itself (PYTHONHOME, PYTHONSAFEPATH ...); PYTHON alone is the commands' option
unset -v $(env | sed -n 's/^\(PYTHON[A-Z_][A-Z0-9_]*\)=.*/\1/p') PYTHONHOME
versions=
if command -v pyenv >/dev/null 2>&1; then versions="$(pyenv root)/versions"; fi
for candidate in python3 python3.13 python3.12 python3.11 python3.10 "$versions"/3.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 6))' >/dev/null 2>&1; then
        exec "$candidate" -m tools.setup.environment "$@"
    fi
done
echo "No Python 3 found that runs: install Python 3.10, 3.11, 3.12 or 3.13 (with venv)." >&2
exit 2
