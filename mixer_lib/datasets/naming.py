"""One rule for a word that may be the name of a data set or the path of a folder of one's own."""

import os
import pathlib


def folder_named(word, known):
    """The folder that a word means, as a path, or None where it is the name of a data set (or of nothing).

    A path with a separator in it, such as ./digits, is a folder, and ~ is one's home. A word without is a data set if
    `known` has it, though a folder of that name may lie here: both are then named in a line.
    """
    text = os.fspath(word)
    separators = [os.sep, *([os.altsep] if os.altsep else [])]
    if text not in known and (any(letter in text for letter in separators) or os.path.isdir(os.path.expanduser(text))):
        return pathlib.Path(os.path.expanduser(text))
    if text in known and os.path.isdir(text):
        print(f"{text} is the data set of that name; the folder here is .{os.sep}{text}")
    return None
