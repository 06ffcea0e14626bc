"""Our layers and optimizer are registered with Keras as soon as Keras is there: it finds them in `.keras` files.

Keras takes seconds to import, and `import mixer_lib` doesn't ask for it: the registration comes with Keras's own
import, before or afterwards.
"""

import importlib
import sys
import threading

from .import_hook import ImportHook
from .requirements import check_backend

PACKAGE = __package__
REGISTERING = ("augmentation", "layers", "models.gmlp", "models.resmlp", "models.vit", "optimizers")


def register():
    """Import what registers a class."""
    for name in REGISTERING:
        importlib.import_module(f".{name}", PACKAGE)


class RegisterWithKeras(ImportHook):
    """Registers when the outermost import of Keras or of a module of ours has ended.

    Not earlier: our own module that imports Keras first is only half there while Keras is being imported.
    """

    def __init__(self):
        self.imports = threading.local()

    def concerns(self, name):
        return name == "keras" or name.startswith(f"{PACKAGE}.")

    def run(self, name, execute, module):
        depth = getattr(self.imports, "depth", 0)
        if name == "keras" and depth:  # imported by us; what a reader's own import of Keras says is Keras's affair
            check_backend()
        self.imports.depth = depth + 1
        try:
            execute(module)
        finally:
            self.imports.depth = depth
        if not depth and "keras" in sys.modules:
            self.uninstall()
            register()


def register_with_keras():
    """Now, if Keras has been imported; else together with it."""
    if hasattr(sys.modules.get("keras"), "layers"):
        register()
    else:
        RegisterWithKeras.install()
