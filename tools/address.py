"""Write the repository's address where readers need it (`make address`, for maintainers).

It is git's origin, or MIXER_REPOSITORY, when that is on GitHub (see tools/book.py): it goes into the README's launch
buttons and into each chapter's first cell, which installs mixer_lib from there. Without one, both say nothing.
"""

import re
from urllib.parse import quote

from chapters import ROOT, chapter_paths
from verbs import run, write_whole

from book import repository_url

README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- launch -->\n).*?(<!-- /launch -->)", re.S)
LINE = re.compile(r'(REPOSITORY = \\").*?(\\")')
WITHOUT = """\
Buttons that open each chapter on Kaggle and Colab stand here once the book has a public address (`make address` writes
them). Until then, `make kaggle` makes notebooks that you can upload to either: [Kaggle](book/kaggle.md),
[Colab](book/colab.md).
"""


def buttons(url, paths):
    """The README's buttons as Markdown: one line per chapter, or a sentence where there is no address."""
    if not url:
        return WITHOUT
    rows = ["| Chapter | Kaggle | Colab | File |", "|---|---|---|---|"]
    name = url.removeprefix("https://github.com/")
    for path in paths:
        place = f"blob/main/notebooks/{path.name}"
        kaggle = "https://kaggle.com/kernels/welcome?src=" + quote(f"{url}/{place}", safe="")
        colab = f"https://colab.research.google.com/github/{name}/{place}"
        file = f"https://raw.githubusercontent.com/{name}/main/notebooks/{path.name}"
        title = path.stem.replace("_", " ")
        rows.append(
            f"| [{title}](notebooks/{path.name}) "
            f"| [![Open {title} on Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]({kaggle}) "
            f"| [![Open {title} in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
            f"| [download]({file}) |"
        )
    return "\n".join(rows) + "\n"


def with_buttons(text, url, paths):
    """The README's text with the buttons for this address."""
    return BLOCK.sub(lambda found: found[1] + buttons(url, paths) + found[2], text)


def with_address(text, url):
    """A notebook file's text with this address in its first cell; nothing else in it changes."""
    return LINE.sub(lambda found: found[1] + url + found[2], text, count=1)


def main():
    url, paths = repository_url(), chapter_paths()
    write_whole(README, with_buttons(README.read_text(encoding="utf-8"), url, paths))
    for path in paths:
        write_whole(path, with_address(path.read_text(encoding="utf-8"), url))
    print(f"the book's address: {url or 'none (git has no origin on GitHub; MIXER_REPOSITORY= names one)'}")


if __name__ == "__main__":
    run(main)
