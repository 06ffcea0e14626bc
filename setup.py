"""What pyproject.toml can't say: a wheel carries the commit that it was built from, for the cards of its runs."""

import pathlib
import runpy

from setuptools import setup
from setuptools.command.build_py import build_py

LIBRARY = pathlib.Path(__file__).resolve().parent / "mixer_lib"
PROVENANCE = runpy.run_path(str(LIBRARY / "runs" / "commit.py"))


class WithCommit(build_py):
    def run(self):
        super().run()
        commit = PROVENANCE["commit"](LIBRARY)
        built = pathlib.Path(self.build_lib) / "mixer_lib" / PROVENANCE["BUILT_FROM"]
        built.unlink(missing_ok=True)  # of an earlier build
        if commit and not self.editable_mode:
            built.write_text(commit + "\n")


setup(cmdclass={"build_py": WithCommit})
