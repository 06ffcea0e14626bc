"""What the Makefile's commands run, as `python -m tools.GROUP.NAME` in the repository's root.

setup: the virtual environment.  chapters: run, open and publish notebooks.  render: the book.  hosting: Kaggle and
Colab.  maintain: tests, linters, exact versions, recorded runs.  `paths` and `verbs` are shared by all.
"""
