"""A table that a chapter shows: HTML in a notebook and in the book, lines of text where it is printed."""

import html
from collections.abc import Iterable, Sequence


class Table:
    """Rows of texts below one row of heads; the first column names the row.

    Put what matters most into the first columns: on a narrow screen the others have to be scrolled to.
    """

    def __init__(self, heads: Sequence[str], rows: Iterable[Sequence[str]]):
        self.heads, self.rows = list(heads), [[str(cell) for cell in row] for row in rows]
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(f"Every row needs {len(self.heads)} cells, one for each head. Received: {row!r}.")

    def __str__(self):
        lines = [self.heads, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        first, *others = widths
        rest = [[f"{cell:>{width}}" for cell, width in zip(line[1:], others, strict=True)] for line in lines]
        return "\n".join("  ".join([f"{line[0]:{first}}", *cells]) for line, cells in zip(lines, rest, strict=True))

    __repr__ = __str__

    def _repr_html_(self):
        def row(cells, kind):
            return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        head = row(self.heads, "th")
        # the class of pandas's tables: notebooks and themes have a style for it, in light and dark
        return f'<table class="dataframe table"><thead>{head}</thead><tbody>{body}</tbody></table>'
