"""The Mixer that computes in the page.

- ``{mixer-lab}``: the whole of it; what the directive holds is for readers without scripts.
- ``{lab}`text <picture=raccoon&step=3>` ``: puts the lab of the same page into a state.
- Parts of it in chapters, each after a figure that the table below names. Notebooks don't know of them, so nothing
  shows on Kaggle, on Colab or in Jupyter; nor does anything in print.

The scripts lie in live/ beside the book; tools/render/live.py writes them.
"""

import html
import re

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

logger = logging.getLogger(__name__)

NAME = "mixer-lab"  # of the lab in its page
SCRIPTS = ("mixer.js", "resize.js", "draw.js", "parts.js", "markup.js", "show.js", "lab.js")
EMBEDS = {
    "notebooks/02_patches": ("fig-image-to-table", "patches"),
    "notebooks/03_mixing": ("fig-block", "block"),
    "notebooks/06_testing": ("fig-06-predict", "answer"),
    "notebooks/07_inside": ("fig-07-shuffled-top1", "why"),
}


LOADING = '<p class="ml-hint">Here the model computes in your browser. It is loading.</p>'  # until its script begins


def lab(part, inner=""):
    return nodes.raw("", f'<div class="mixer-lab" data-part="{part}">{inner}</div>', format="html")


class MixerLab(SphinxDirective):
    has_content = True

    def run(self):
        self.env.metadata[self.env.docname]["mixer_lab"] = "all"
        before = nodes.raw(
            "", f'<div class="mixer-lab" id="{NAME}" data-part="all"><div class="ml-wait">', format="html"
        )
        after = nodes.raw("", "</div></div>", format="html")
        return [before, *self.parse_content_to_nodes(), after]


class LabRole(SphinxRole):
    def run(self):
        text, state = re.fullmatch(r"(.+?)\s*<(.+)>", self.text, re.S).groups()
        link = f'<a class="ml-try" href="#{NAME}" data-lab="{html.escape(state)}">{html.escape(text)}</a>'
        return [nodes.raw(self.rawtext, link, format="html")], []


def embed(app, doctree, docname):
    """Put a chapter's part after its figure; a chapter without that figure is a warning, and fails a strict build."""
    if docname not in EMBEDS or app.builder.format != "html":
        return
    name, part = EMBEDS[docname]
    figure = next((node for node in doctree.findall(nodes.figure) if name in node["ids"] + node["names"]), None)
    if figure is None:
        logger.warning("no figure %s to put the live part %r after", name, part, location=docname)
        return
    while figure.parent.get("classes") and "cell" not in figure.get("classes", []) and figure.parent.parent:
        figure = figure.parent
    figure.parent.insert(figure.parent.index(figure) + 1, lab(part, LOADING))


def add_scripts(app, pagename, templatename, context, doctree):
    """Only where the lab is: its scripts and its style sheet."""
    if pagename not in EMBEDS and "mixer_lab" not in app.env.metadata.get(pagename, {}):
        return
    folder = context["pathto"]("live/", resource=True)
    tags = [f'<link rel="stylesheet" href="{folder}lab.css">']
    tags += [f'<script defer src="{folder}{name}"></script>' for name in SCRIPTS]
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(tags)


def setup(app):
    app.add_directive("mixer-lab", MixerLab)
    app.add_role("lab", LabRole())
    app.connect("doctree-resolved", embed)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
