"""The library's own source as a listing in a chapter."""

import inspect
import textwrap


def show_source(*pieces):
    """The source of functions, methods or classes, as a block of code in the page."""
    from IPython.display import Markdown

    code = "\n".join(textwrap.dedent(inspect.getsource(piece)) for piece in pieces)
    return Markdown(f"```python\n{code}```")
