"""Which numbers in the book's prose must be backed by a record, and whether they are.

The rule. Prose is what a reader reads outside code: markdown pages and markdown cells, without code spans and
blocks, formulas, addresses, link targets, comments, roles (`{card}`, `{fact}`: they print recorded figures by
themselves), directive options and front matter. A number in it is a *claim* when it is
- a decimal (78.04), or a percentage (81 %), or a whole number of at least 1,000 (50,000), or
- a number before a unit of measurement: s, ms, seconds, times, points.
No claims are versions ("Python 3.11", "2.15.1", "CC BY 4.0"), years (1900-2099), identifiers (arXiv
2105.01601, DOIs), shapes ("32 x 32 x 3") and sums that a sentence itself carries out rightly
("32 x 32 x 3 = 3,072").

A claim is backed when one of the sources gives it, rounded to the digits that are printed: a card
(fractions also as percentages), book/facts.json, an output of a cell (of the page itself for a chapter, of
any chapter for a page of book/), or a value of mixer_lib's presets and recipes.
"""

import json
import math
import re
from pathlib import Path

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
UNITS = r"\s?(?:%|percent\b|s\b|ms\b|seconds?\b|times\b|(?:percentage )?points?\b)"
CLAIM = re.compile(rf"(?<![\w.,/-])(?P<sign>[-−]?)(?P<number>{NUMBER})(?P<unit>{UNITS})?(?![\w/]|\.\d|,\d)")

NOT_PROSE = [
    r"(?s)\A---\n.*?\n---\n",  # front matter
    r"(?s)<!--.*?-->",
    r"(?m)^%.*$",  # MyST comments
    # code, and directives that hold code; other directives hold prose
    r"(?ms)^(`{3,}|~{3,})(?!\{(?!code|math|literalinclude|mermaid)).*?^\1\s*$",
    r"(?m)^[`~:]{3,}.*$",  # the fence lines of directives: their contents are prose
    r"(?m)^:[\w-]+:(?! *\S.* \S.* \S).*$",  # short directive options; alt texts and captions stay prose
    r"(?s)\$\$.*?\$\$",
    r"\$[^$\n]+\$",
    r"\{[\w:.+-]+\}`+[^`]*`+",  # roles
    r"`+[^`]+`+",
    r"(?m)^\([\w:-]+\)=\s*$",
    r"\]\([^)\s]*(?:\s[^)]*)?\)",  # link and image targets
    r"(?m)^\[[^\]]+\]:.*$",
    r"<?https?://\S+",
    r"(?i)\barXiv:?\s?\d{4}\.\d{4,5}(?:v\d+)?",
    r"(?i)\bdoi:?\s?\S+",
    r"<[^>\n]+>",
]
NAMES = (
    r"(?:Python|Keras|TensorFlow|TF|NumPy|JAX|PyTorch|CUDA|MathJax|Jupyter Book|tensorflow-addons|TFA|"
    r"scikit-learn|Apache(?: License)?(?:,? Version)?|CC BY(?:-SA)?|[Vv]ersions?)"
)
VERSIONS = rf"{NAMES}\s+\d+(?:\.\d+)*(?:\s*(?:,|-|–|/|or|and|to)\s*\d+\.\d+(?:\.\d+)*)*(?: or newer)?"
# a table's cell that lists Pythons and nothing else
VERSION_CELL = r"(?<=\|)\s*3\.1[0-3](?:\s*(?:,|-|–|and|or|to)\s*3\.1[0-3])*\s*(?=\|)"
LONG_VERSION = r"\b\d+\.\d+\.\d+(?:\.\w+)*\b"
PRODUCT = re.compile(rf"(?:{NUMBER})(?:\s*[x×*·+/-]\s*(?:{NUMBER}))+(?:\s*=\s*(?P<result>{NUMBER}))?")


def value_of(text):
    return float(text.replace(",", ""))


def drop_sums(text):
    """Text without shapes and without sums that are right; what a wrong sum claims stays."""

    def keep_wrong(match):
        if match["result"] is None:
            # a shape or a range of small whole numbers; anything with a decimal in it stays a claim
            return match[0] if "." in match[0] else " "
        left = re.sub(r"[×·x]", "*", match[0].split("=")[0].replace(",", ""))
        right = math.isclose(eval(left, {"__builtins__": {}}), value_of(match["result"]), rel_tol=1e-9)
        return " " if right else match[0]

    return PRODUCT.sub(keep_wrong, text)


def prose(markdown):
    """The prose of a markdown text, everything else blanked (line breaks are kept)."""
    for pattern in NOT_PROSE:
        markdown = re.sub(pattern, lambda match: " " + "\n" * match[0].count("\n"), markdown)
    for pattern in (VERSIONS, VERSION_CELL, LONG_VERSION):
        markdown = re.sub(pattern, " ", markdown)
    return drop_sums(markdown)


def is_year(text):
    return re.fullmatch(r"(19|20)\d\d", text) is not None


def claims(markdown):
    """The numbers that need a record: a list of (number as printed, is it a percentage)."""
    found = []
    for match in CLAIM.finditer(prose(markdown)):
        number, unit = match["number"], (match["unit"] or "").strip()
        if is_year(number) and not unit:
            continue
        if unit or "." in number or value_of(number) >= 1000:
            found.append((number, unit in ("%", "percent")))
    return found


def numeric_leaves(value):
    """All numbers in a JSON value."""
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [float(value)]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [number for child in children for number in numeric_leaves(child)]


def numbers_in_text(text):
    """All numbers printed in a text."""
    return [value_of(number) for number in re.findall(rf"(?<![\w.])(?:{NUMBER})", text)]


def output_numbers(notebook):
    """Numbers in the stored text outputs of a notebook (no pictures, no addresses of objects)."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            data = output.get("data", {})
            texts += [data.get(kind, "") for kind in ("text/plain", "text/html", "text/markdown")]
    return [number for text in texts for number in numbers_in_text(re.sub(r"0x[0-9a-f]+|<style.*?</style>", "", text))]


def card_numbers(root):
    """Numbers in all cards: mixer_lib/pretrained/*.json and mixer_lib/recorded/*.json."""
    folders = [Path(root) / "mixer_lib" / name for name in ("pretrained", "recorded")]
    files = [path for folder in folders for path in folder.glob("*.json")]
    return [number for path in files for number in numeric_leaves(json.loads(path.read_text(encoding="utf-8")))]


def fact_numbers(root):
    """Values and printed texts of book/facts.json; an entry without a source backs nothing."""
    path = Path(root) / "book" / "facts.json"
    facts = json.loads(path.read_text(encoding="utf-8")).values() if path.is_file() else []
    cited = [fact for fact in facts if fact.get("source")]
    return [n for fact in cited for n in numeric_leaves(fact.get("value")) + numbers_in_text(fact.get("text", ""))]


def backed(number, percentage, sources):
    """Whether a source, rounded to the printed digits, gives the number (fractions are percentages too)."""
    wanted = value_of(number)
    digits = len(number.partition(".")[2])
    scales = (1, 100) if percentage or digits else (1,)
    slack = 10**-digits / 2 * (1 + 1e-9)
    # rounding applies to digits after the point; a large whole number must be met exactly
    if not percentage and not digits:
        return any(source == wanted for source in sources)
    return any(abs(scale * source - wanted) <= slack for source in sources for scale in scales)


def unbacked(markdown, sources):
    """The claims of a text that no source gives, as printed."""
    return [
        number + (" %" if percent else "")
        for number, percent in claims(markdown)
        if not backed(number, percent, sources)
    ]
