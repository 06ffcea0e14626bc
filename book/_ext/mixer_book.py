"""The book's own Sphinx extension.

- ``{card}`article:top5:.2%` ``: a figure of a recorded run (card, dotted field, Python format or none).
- ``{seeds}`article:top5` ``: mean and standard deviation over all recorded seeds of a name.
- ``{fact}`key` ``: a cited figure from book/facts.json, with its source as a tooltip.
- A Kaggle button beside the Colab one, where the book has a repository.
- Pages without scripts that are not used, whose buttons and lists have names.

An unknown card, field or key is a warning, and a strict build fails on it.
"""

import json
import re
from pathlib import Path
from urllib.parse import quote

from cards_table import run_name, spread
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)

CARD_FOLDERS = ("mixer_lib/recorded", "mixer_lib/pretrained")
KAGGLE = "https://kaggle.com/kernels/welcome?src="


def load_cards(root):
    """All cards below the book's root: {file name without .json: dict}."""
    files = [path for folder in CARD_FOLDERS for path in sorted((Path(root) / folder).glob("*.json"))]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def load_facts(root):
    """book/facts.json: {key: {"text": as printed, "value": number, "source": citation key, "where": ...}}."""
    path = Path(root) / "book" / "facts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def card_text(cards, text):
    """The figure that ``name:field:format`` stands for. Raises ValueError naming what is there."""
    name, _, rest = text.partition(":")
    field, _, form = rest.partition(":")
    if name not in cards:
        raise ValueError(f"no card {name!r}: there are {', '.join(sorted(cards)) or 'none'}")
    value = cards[name]
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ValueError(f"card {name!r} has no field {field!r}")
        value = value[part]
    if value is None or isinstance(value, (dict, list)):
        raise ValueError(f"card {name!r}: field {field!r} is not a single recorded value")
    return format(value, form)


class FigureRole(SphinxRole):
    """A role whose text is looked up, by its `lookup(root)`; what is wrong with it becomes a warning."""

    def run(self):
        root = Path(self.env.srcdir)
        for path in [
            root / "book" / "facts.json",
            *(p for f in CARD_FOLDERS for p in (root / f).glob("*.json")),
        ]:
            self.env.note_dependency(str(path))
        try:
            shown, source = self.lookup(root)
        except (ValueError, TypeError) as error:
            logger.warning("%s role %r: %s", self.name, self.text, error, location=self.get_location())
            return [nodes.inline(self.rawtext, self.text)], []
        return [nodes.abbreviation(self.rawtext, shown, explanation=source, classes=["figure-source"])], []


class CardRole(FigureRole):
    def lookup(self, root):
        name, _, rest = self.text.partition(":")
        return card_text(load_cards(root), self.text), f"recorded run {name}, {rest.partition(':')[0]}"


def seeds_text(cards, text):
    """The mean over a name's seeds that ``name:field`` stands for. Raises ValueError for a name without a run."""
    name, _, field = text.partition(":")
    values = [card[field] for key, card in cards.items() if run_name(Path(key)) == name]
    if not values:
        raise ValueError(f"no run {name!r}: there are {', '.join(sorted(cards)) or 'none'}")
    return f"{spread(values)}% ({len(values)} seeds)" if len(values) > 1 else f"{values[0]:.2%} (one seed)"


class SeedsRole(FigureRole):
    def lookup(self, root):
        name, _, field = self.text.partition(":")
        text = seeds_text(load_cards(root), self.text).replace(" ± ", "\u00a0±\u00a0").replace(" seed", "\u00a0seed")
        return text, f"all recorded seeds of {name}, {field}"


class FactRole(FigureRole):
    def lookup(self, root):
        facts = load_facts(root)
        if self.text not in facts:
            raise ValueError(f"no such fact in book/facts.json: there are {', '.join(sorted(facts)) or 'none'}")
        fact = facts[self.text]
        source = ", ".join(str(fact[part]) for part in ("source", "where") if fact.get(part))
        if not source:
            raise ValueError("the fact names no source")
        return fact["text"], f"source: {source}"


def add_kaggle_button(app, pagename, templatename, context, doctree):
    """Add "Kaggle" to the theme's launch buttons of a notebook page."""
    url = app.config.mixer_repository
    if not url or context.get("page_source_suffix") != ".ipynb":
        return
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            address = KAGGLE + quote(f"{url}/blob/main/{pagename}.ipynb", safe="")
            icon = '<span class="kaggle-mark" aria-hidden="true">K</span>'
            button = {
                "type": "link",
                "text": "Kaggle",
                "tooltip": "Open on Kaggle",
                "icon": icon,
                "url": address,
            }
            group["buttons"].append(button)


def mend_page(app, pagename, templatename, context, doctree):
    """Mend what browsers complain about: live code (not used, and loaded twice), an empty colour mode."""

    def is_thebe(script):
        return "thebe" in str(script.filename or "") or "THEBE_JS_URL" in str(script.attributes.get("body", ""))

    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [file for file in context[kind] if not is_thebe(file)]
    context["default_mode"] = context.get("default_mode") or "auto"


# What the theme and its extensions write, and what a screen reader needs: a button's name is what it shows, its icons
# have none of their own, the entries of a list are items, and no name is given twice.
FIELD = '"btn search-button-field search-button__button pst-js-only"'
NAMES = (
    (f'{FIELD} title="Search" aria-label="Search"', FIELD),
    (' data-mode="light" title="Light"', ' data-mode="light"'),
    (' data-mode="dark"  title="Dark"', ' data-mode="dark"'),
    (' data-mode="auto"  title="System Settings"', ' data-mode="auto"'),
    ('<summary aria-label="Toggle hidden content">', "<summary>"),
    ('role="doc-biblioentry"', 'role="listitem"'),
    (' id="exercise-content"', ""),  # the same name for each exercise of a page: a name must be single
    (' id="solution-content"', ""),
)
# The notebook of a chapter is saved rather than shown as text in another tab.
DOWNLOAD = re.compile(
    r'(<a href="[^"]+\.ipynb") target="_blank"(\s+class="btn[^"]*download-source-button[^"]*"\s+)title="[^"]*"'
)


def name_things(app, exception):
    """Mend the names of things in the rendered pages."""
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = mended = page.read_text(encoding="utf-8")
        for before, after in NAMES:
            mended = mended.replace(before, after)
        mended = DOWNLOAD.sub(r'\1 download\2title="Download this chapter as a notebook"', mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def one_search_field(app, config):
    """No second search field in the header. (Theme options in _config.yml would wipe the launch buttons.)"""
    config.html_theme_options = {**(config.html_theme_options or {}), "navbar_persistent": []}


def setup(app):
    app.add_config_value("mixer_repository", "", "html")
    app.add_role("card", CardRole())
    app.add_role("seeds", SeedsRole())
    app.add_role("fact", FactRole())
    app.connect("config-inited", one_search_field)
    # the theme makes its launch buttons at priority 501
    app.connect("html-page-context", add_kaggle_button, priority=900)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", name_things)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
