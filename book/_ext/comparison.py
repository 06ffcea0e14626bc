"""Comparisons of recorded runs, with the chance of seeds and of test pictures in them.

- ``{comparison}`` with the arguments ``FIRST SECOND K``: a sentence with both means, the difference, its 95 % interval
  and what it shows. SECOND is a recorded name or a claimed percentage, K is 1 or 5.
- ``{found}`higher: FIRST, SECOND, K` ``: the word, as long as the comparison shows it ("higher", "lower", or "no
  difference found"). A strict build fails on a word that the runs don't bear out.
"""

import functools
import sys
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

logger = logging.getLogger(__name__)


def compared(root, first, second, k):
    """(`Difference`, sentence) of two recorded names, or of one and a percentage; ValueError if one has no ranks."""
    library = next(folder for folder in (Path(root), *Path(root).parents) if (folder / "mixer_lib").is_dir())
    if str(library) not in sys.path:
        sys.path.insert(0, str(library))
    return _compared(first, second, int(k))


@functools.cache
def _compared(first, second, k):
    from mixer_lib.analysis.comparison import describe, difference, recorded_ranks

    runs = [*recorded_ranks(first).values()]
    try:
        other = float(second) / 100
    except ValueError:
        other = second
    against = other if isinstance(other, float) else [*recorded_ranks(other).values()]
    return difference(runs, against, k), describe(first, other, k)


class Comparison(SphinxDirective):
    """The sentence."""

    required_arguments = 3

    def run(self):
        try:
            _, sentence = compared(self.env.srcdir, *self.arguments)
        except ValueError as error:
            logger.warning("comparison: %s", error, location=self.get_location())
            return []
        return [nodes.paragraph("", sentence, classes=["comparison"])]


class Found(SphinxRole):
    """The word that a comparison bears out."""

    def run(self):
        word, _, rest = self.text.partition(":")
        try:
            first, second, k = (part.strip() for part in rest.split(","))
            difference, sentence = compared(self.env.srcdir, first, second, k)
            if difference.words != word.strip():
                raise ValueError(f"{word!r} is not what the runs show. {sentence}")
        except ValueError as error:
            logger.warning("found: %s", error, location=self.get_location())
        return [nodes.Text(word)], []


def setup(app):
    app.add_directive("comparison", Comparison)
    app.add_role("found", Found())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
