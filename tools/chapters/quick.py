"""Run every chapter on small embedded data and render the result (`make quick`)."""

import shutil

from tools.chapters.notebooks import TRAINS, ChapterFailed
from tools.chapters.runner import run_chapters
from tools.paths import BUILD, ROOT
from tools.render.html import render
from tools.setup.options import read_options
from tools.verbs import exclusive, run, stop

EPOCHS = 3


@exclusive(BUILD / "fast")
def main():
    given = read_options()
    parameters = {
        "profile": "fast",
        "dataset": given["dataset"] or "digits",
        "data_dir": given["data_dir"],
        "epochs": given["epochs"] or EPOCHS,
        "seed": given["seed"] or 0,
    }
    run_dir = BUILD / "fast" / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    try:
        chapters = run_chapters(
            "fast", parameters, extra={TRAINS: {"run_dir": str(run_dir), "devices": given["devices"] or 1}}
        )
    except ChapterFailed as error:
        stop(error)
    print("rendering the book", flush=True)
    html = render("fast", chapters)
    print(f"the book on {parameters['dataset']}: {(html / 'index.html').relative_to(ROOT)}")


if __name__ == "__main__":
    run(main)
