"""Where in a sweep's file a key stands: tomllib reads values and forgets their lines."""

import contextlib
import re

RUNS = re.compile(r"^\s*\[\[\s*runs\s*\]\]", re.M)


class Lines:
    """The text of a TOML file whose `[[runs]]` are its parts; part 0 is what stands above the first of them."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.starts = [0, *(match.start() for match in RUNS.finditer(text)), len(text)]

    def error(self, message, key="", part=0):
        """A ValueError that names the line of a key in a part, or above; else the line where the part begins."""
        part = part if part < len(self.starts) - 1 else 0  # runs = [{...}] has no parts
        places = [self._find(key, place) for place in dict.fromkeys((part, 0))] if key else []
        place = next((found for found in places if found is not None), self.starts[part])
        line = self.text.count("\n", 0, place) + 1
        return ValueError(f"{self.path}, line {line}: {message}")

    @contextlib.contextmanager
    def at(self, key, part=0):
        """A ValueError raised within names the line too."""
        try:
            yield
        except ValueError as error:
            raise self.error(error, key, part) from error

    def _find(self, key, part):
        begin, end = self.starts[part], self.starts[part + 1]
        named = rf"""(?:^|[\s{{,.\["'])(?P<key>{re.escape(key)})["']?\s*(?:=|\]|\.)"""
        for line in re.finditer(r"^.*$", self.text[begin:end], re.M):
            if found := re.search(named, line[0].partition("#")[0]):
                return begin + line.start() + found.start("key")
        return None
