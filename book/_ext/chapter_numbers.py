"""A chapter's number is that of its file, whatever stands before it in the contents: 05_training is 5, a_decay is A.

So titles, figures and exercises have the numbers that the text gives them, and a chapter 0 can be chapter 0. Sphinx
numbers what _toc.yml calls `numbered`, from 1 on; its numbers are replaced when all of them are assigned.
"""

import re

from docutils import nodes

CHAPTER = re.compile(r"notebooks/(?:(\d\d)|([a-z]))_\w+")


def number_of(docname):
    """The number of a chapter, 5 or "A", or None for any other page."""
    match = CHAPTER.fullmatch(docname)
    return match and (int(match[1]) if match[1] else match[2].upper())


def renumber(app, env):
    for docname, sections in env.toc_secnumbers.items():
        number = number_of(docname)
        if number is None:
            continue
        for anchor, old in sections.items():
            sections[anchor] = old and (number, *old[1:])
        for figures in env.toc_fignumbers.get(docname, {}).values():
            for name, old in figures.items():
                figures[name] = (number, *old[1:])
        for node in (env.titles[docname], *env.tocs[docname].findall(nodes.reference)):
            if node.get("secnumber"):
                node["secnumber"] = [number, *node["secnumber"][1:]]
    return []


def setup(app):
    app.connect("env-get-updated", renumber, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
