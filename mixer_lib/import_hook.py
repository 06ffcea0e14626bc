"""Something to do around the import of a module."""

import importlib.abc
import sys


class ImportHook(importlib.abc.MetaPathFinder):
    """Finds modules as everybody else does, and lets `run` run the code of those that `concerns` names."""

    @classmethod
    def install(cls):
        """Once for all; it takes itself away with `uninstall`."""
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def uninstall(self):
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def concerns(self, name):
        """Whether the module of this name is one to act on."""
        raise NotImplementedError

    def run(self, name, execute, module):
        """Run a module's code with `execute(module)`, and whatever is to be done around it."""
        raise NotImplementedError

    def find_spec(self, name, path=None, target=None):
        if not self.concerns(name):
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec and spec.loader:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self.run(name, execute, module)
        return spec
