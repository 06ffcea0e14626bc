#!/bin/sh
# Run a Python file of the project in its virtual environment: sh tools/in_env.sh tools/quick.py
# Any Python 3 that really runs may start tools/environment.py, which then chooses and sets up the one to use.
folder=$(dirname "$0")
versions=
if command -v pyenv >/dev/null 2>&1; then versions="$(pyenv root)/versions"; fi
for candidate in python3 python3.13 python3.12 python3.11 python3.10 "$versions"/3.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 6))' >/dev/null 2>&1; then
        exec "$candidate" "$folder/environment.py" "$@"
    fi
done
echo "No Python 3 found that runs: install Python 3.10, 3.11, 3.12 or 3.13 (with venv)." >&2
exit 2
