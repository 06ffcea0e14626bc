"""The virtual environment. Standard library only, old syntax: any Python 3.6+ runs it before anything is installed."""
