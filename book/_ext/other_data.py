"""A note at the top of a chapter that ran on other data than CIFAR-100, which its text is about (`make quick`)."""

import re

from docutils import nodes

# what a chapter prints: `ChapterSettings.caption`
CAPTION = re.compile(r"^This page shows the (\w+) profile, on (.+)\.$", re.M)
PUBLISHED = "CIFAR-100"


def add_note(app, doctree):
    """Say it below the title, where the chapter prints that it has other data."""
    printed = (CAPTION.search(block.astext()) for block in doctree.findall(nodes.literal_block))
    found = next((match for match in printed if match), None)
    title = next(doctree.findall(nodes.title), None)
    if found is None or found[2] == PUBLISHED or title is None:
        return
    told = (
        f"This page was made in the {found[1]} profile, on {found[2]}. What its text and questions say of pictures, "
        f"classes and accuracies is about {PUBLISHED}, as in the published book."
    )
    note = nodes.note("", nodes.paragraph(text=told.replace("'", "’")))  # as Sphinx prints prose
    title.parent.insert(title.parent.index(title) + 1, note)


def setup(app):
    app.connect("doctree-read", add_note)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
