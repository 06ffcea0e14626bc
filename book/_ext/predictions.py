"""Predict-first questions whose options can be clicked.

A question is a paragraph that begins with **Predict first.**, a list of options, and the dropdown "Each answer, and
why". This marks the three of them for `_static/predict.js`, and gives every page the questions of all chapters, so that
it can say how many have been answered. Without scripts, and in print, a question is read as it was written.

Of the explanations exactly one says that its option is right: it begins with "Right", or goes on with "is right" and a
punctuation mark. A question without one is a warning, and a strict build fails on it.
"""

import hashlib
import json
import re

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)

BEGINNING, ANSWERS = "Predict first.", "Each answer, and why"
LETTER = re.compile(r"([A-Z])\b\.?\s*")
RIGHT = re.compile(r"[A-Z]\.? +(Right\b|is right[.,:])")


def siblings(node, kind):
    """The nearest node of a kind after `node`, beside it; None if another question comes first."""
    for following in node.parent[node.parent.index(node) + 1 :]:
        if isinstance(following, kind):
            return following
        if is_question(following):
            return None
    return None


def is_question(node):
    return isinstance(node, nodes.paragraph) and node.astext().startswith(BEGINNING)


def letters(listed):
    """{letter of an option: its item} of a list."""
    found = ((LETTER.match(item.astext()), item) for item in listed.children)
    return {letter[1]: item for letter, item in found if letter}


def questions(doctree):
    """(paragraph, list of options, list of explanations) of each question; lists are None where they are missing."""
    for paragraph in doctree.findall(is_question):
        options, box = siblings(paragraph, nodes.bullet_list), siblings(paragraph, nodes.Admonition)
        explained = box and box.astext().startswith(ANSWERS) and next(box.findall(nodes.bullet_list), None)
        yield paragraph, options, explained or None


def mark(app, doctree):
    """Mark the questions of the page that was just read, and note their names."""
    names = []
    for paragraph, options, explained in questions(doctree):
        offered, reasons = letters(options or []), letters(explained or [])
        right = [letter for letter, item in reasons.items() if RIGHT.match(item.astext())]
        if not offered or list(offered) != list(reasons) or len(right) != 1:
            text = "predict-first question with options %s, explanations of %s, of which %s say that they are right"
            logger.warning(text, *map(" ".join, (offered, reasons, right)), location=paragraph)
            continue
        # a name that stays when chapters are renamed or other questions are added
        name = hashlib.sha256(paragraph.astext().encode()).hexdigest()[:8]
        names.append(name)
        options["classes"] += ["predict", f"predict-{name}"]
        explained["classes"].append("predict-reasons")
        reasons[right[0]]["classes"].append("predict-right")
    if names:
        app.env.metadata[app.env.docname]["predictions"] = names


def add_names(app, pagename, templatename, context, doctree):
    """Give a page the names of all questions: {chapter: names}."""
    found = {page: data["predictions"] for page, data in app.env.metadata.items() if "predictions" in data}
    script = f'<script type="application/json" id="predictions">{json.dumps(found, sort_keys=True)}</script>'
    context["metatags"] = context.get("metatags", "") + f"\n{script}"


def setup(app):
    app.connect("doctree-read", mark, priority=400)  # before links to the glossary are made: none within a button
    app.connect("html-page-context", add_names)
    app.add_js_file("predict.js", loading_method="defer")
    app.add_css_file("predict.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
