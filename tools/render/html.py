"""Stage and render the book strictly (`make book`), or a profile's executed chapters (quick, execute).

With SOLUTIONS=no the exercises keep their questions and lose their solutions: a book to hand out in a class. The
notebooks that its pages offer, also in _build/without-solutions/students/, have an empty cell for each of them.

The staged copy under _build/<profile>/stage/ has the repository's layout, so that links and launch
addresses are right. The rendered book takes its place, _build/<profile>/html/, only when the strict build
passed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tools.hosting.address import repository_url
from tools.paths import BUILD, ROOT
from tools.render.downloads import without_solutions, write_downloads
from tools.setup.options import read_options
from tools.verbs import exclusive, run


def configure(stage, url):
    """Add what depends on the repository's address to the staged _config.yml: launch and source buttons."""
    path = stage / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if url:
        config["repository"] = {"url": url, "branch": "main"}
        config["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}
        config.setdefault("html", {})["use_repository_button"] = True
        config["sphinx"]["config"]["mixer_repository"] = url
        owner, name = url.split("/")[-2:]
        config["sphinx"]["config"]["ogp_site_url"] = f"https://{owner}.github.io/{name}/"
    path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")


def copy_tree(source, target):
    ignore = shutil.ignore_patterns(".*", "__pycache__")
    if source.is_dir():
        shutil.copytree(source, target, ignore=ignore)


def stage_book(stage, chapters=(), solutions=True):
    """Copy the book to `stage`; `chapters` are executed notebooks that replace the committed ones."""
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    for folder in ("book", "notebooks", "mixer_lib/pretrained", "mixer_lib/recorded"):
        copy_tree(ROOT / folder, stage / folder)
    for name in ("_config.yml", "_toc.yml", "requirements.txt"):
        shutil.copy(ROOT / name, stage / name)
    for chapter in chapters:
        shutil.copy(chapter, stage / "notebooks" / Path(chapter).name)
    for chapter in () if solutions else sorted((stage / "notebooks").glob("*.ipynb")):
        notebook = without_solutions(json.loads(chapter.read_text(encoding="utf-8")))
        chapter.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    if (ROOT / "book" / "live").is_dir():  # else a book without the live page
        from tools.render.live import write_live

        write_live(stage / "book" / "_extra" / "live")
    configure(stage, repository_url())


def strict_build(stage):
    """Render the staged book: the finished process, with what it said. The html lies under stage/_build/html."""
    command = [sys.executable, "-m", "tools.render.jupyter_book_cli", str(os.getpid()), "build", "."]
    command += ["--all", "-W", "-n", "--keep-going", "-q"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=stage, env={**os.environ, "PYTHONPATH": str(ROOT)}, **streams)


def render(profile, chapters=(), build=BUILD, solutions=True):
    """Stage and render; the path of the html folder. Exits with the warnings when the build is not clean."""
    stage = build / profile / "stage"
    stage_book(stage, chapters, solutions)
    done = strict_build(stage)
    if done.returncode:
        log = build / profile / "book.log"
        log.write_text(done.stdout, encoding="utf-8")
        lines = [line for line in done.stdout.splitlines() if re.search("warning|error|exception", line, re.I)]
        print("\n".join(lines[:30] or done.stdout.splitlines()[-30:]), file=sys.stderr)
        sys.exit(f"the strict build of the book failed (all that it said: {log})")
    rendered = stage / "_build" / "html"
    offered = [path.name for path in (rendered / "_sources" / "notebooks").glob("*.ipynb")]
    write_downloads(rendered, [ROOT / "notebooks" / name for name in sorted(offered)], solutions)
    html, last = build / profile / "html", build / profile / "html.last"
    shutil.rmtree(last, ignore_errors=True)
    if html.exists():
        html.rename(last)
    rendered.rename(html)
    shutil.rmtree(last, ignore_errors=True)
    return html


@exclusive(BUILD / "committed")
def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    unsolved = read_options()["solutions"] is False
    html = render("without-solutions", solutions=False) if unsolved else render("committed")
    print(f"the book: {(html / 'index.html').relative_to(ROOT)}")
    if unsolved:
        students = html.parent / "students"
        shutil.rmtree(students, ignore_errors=True)
        shutil.copytree(html / "_sources" / "notebooks", students)
        print(f"the notebooks for students: {students.relative_to(ROOT)}/")


if __name__ == "__main__":
    run(main)
