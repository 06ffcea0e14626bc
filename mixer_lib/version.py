"""The version of the library: on every card, in CITATION.cff and in the package."""

VERSION = "0.2.0"
