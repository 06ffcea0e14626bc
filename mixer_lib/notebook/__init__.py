"""What a chapter needs beside the library: its parameters, the host it runs on, the library's source as a listing.
It imports `runs`, `datasets`, `speedups` and, of the core, `data`.
"""

from ..quiet import hide_hints
from .hosts import report, resume_from_inputs
from .source import show_source

hide_hints()
__all__ = ["report", "resume_from_inputs", "show_source"]
