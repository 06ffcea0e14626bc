"""Run every chapter on small embedded data and render the result (`make quick`)."""

import shutil

from chapters import BUILD, ChapterFailed, run_chapters, stop
from options import read_options
from verbs import alone, run

from book import ROOT, render

EPOCHS = 3


@alone(BUILD / "fast")
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
        chapters = run_chapters("fast", parameters, extra={"05_training": {"run_dir": str(run_dir)}})
    except ChapterFailed as error:
        stop(error)
    print("rendering the book", flush=True)
    html = render("fast", chapters)
    print(f"the book on {parameters['dataset']}: {(html / 'index.html').relative_to(ROOT)}")


if __name__ == "__main__":
    run(main)
