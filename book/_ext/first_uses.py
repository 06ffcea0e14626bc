"""The first use of a glossary's word on a page becomes a link to it.

Chapters are read on Kaggle and in Jupyter too, where a role for a term would show as it is written. So their text stays
plain, and the links are made when the book is built. Only prose is looked at: no headings, code, links or tables.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

GLOSSARY = "book/glossary"
# Words that prose also uses in their everyday sense: pages link these by hand where they mean the glossary's.
EVERYDAY = {
    "block", "card", "channel", "evaluation", "head", "label", "loss", "parameters", "profile", "recipe", "run", "step",
}  # fmt: skip
NOT_IN = (nodes.title, nodes.literal, nodes.reference, nodes.table, nodes.caption, nodes.term, addnodes.pending_xref)


def terms(source):
    """The words that the glossary explains, in the order of its source."""
    blocks = re.findall(r"^```\{glossary\}\n(.*?)^```", source, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line and not line[0].isspace()]


def pattern(words):
    """A regular expression that finds any of these words, the longest that fits, with a plural's s."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest_first)) + r")s?(?![\w-])", re.I)


def is_prose(text):
    """Whether a text node stands in a sentence of the page itself."""
    above = text.parent
    sentence = False
    while above is not None:
        if isinstance(above, NOT_IN) or "predict" in above.get("classes", ()):  # an option that is clicked
            return False
        sentence = sentence or isinstance(above, nodes.paragraph)
        above = above.parent
    return sentence


def link(word, shown, docname):
    """A reference to the glossary from the page `docname`, to be resolved with all others."""
    reference = addnodes.pending_xref(
        "", refdomain="std", reftype="term", reftarget=word, refexplicit=True, refwarn=True, refdoc=docname
    )
    reference += nodes.inline("", shown, classes=["xref", "std", "std-term"])
    return reference


def at_first_uses(text, find, left):
    """A text cut at the first uses in it: pairs of a piece and its word, None for what stands between.

    `find` is the pattern of all words, so that a word within a longer one ("token" in "token mixing") is no use of its
    own. A word that is found leaves the set `left`.
    """
    pieces, start = [], 0
    for found in find.finditer(text):
        word = found[1].lower()
        if word in left:
            left.discard(word)
            pieces += [(text[start : found.start()], None), (found[0], word)]
            start = found.end()
    return [pair for pair in [*pieces, (text[start:], None)] if pair[0]]


def link_first_uses(app, doctree):
    """Link, on the page that was just read, the first use of each word that is not linked already."""
    docname = app.env.docname
    path = Path(app.srcdir) / f"{GLOSSARY}.md"
    if docname == GLOSSARY or not path.is_file():
        return
    app.env.note_dependency(str(path))
    canonical = {word.lower(): word for word in terms(path.read_text(encoding="utf-8"))}
    linked = {
        node["reftarget"].lower() for node in doctree.findall(addnodes.pending_xref) if node.get("reftype") == "term"
    }
    words = set(canonical) - EVERYDAY
    find, left = pattern(words), words - linked
    for text in [node for node in doctree.findall(nodes.Text) if is_prose(node)]:
        pieces = at_first_uses(str(text), find, left)
        if any(word for _, word in pieces):
            new = [link(canonical[word], piece, docname) if word else nodes.Text(piece) for piece, word in pieces]
            text.parent.replace(text, new)


def setup(app):
    app.connect("doctree-read", link_first_uses)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
