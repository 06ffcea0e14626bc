"""The README's first screen: the picture, what `predict` really prints, the two commands."""

import re
import shutil
from pathlib import Path

import pytest
import sklearn.datasets

from mixer_lib.__main__ import main
from tools.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^\$ python -m mixer_lib (predict article flower\.jpg -k 3)\n(.+)\n", re.M)


def test_nothing_but_the_title_stands_above_the_picture_and_the_two_commands_are_on_the_first_screen():
    lines = [line for line in README.splitlines() if line]
    assert lines[0].startswith("# ") and lines[1] == "<picture>"
    assert lines.index("```bash") < 20
    assert [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("make ")] == [
        "make quick",
        "make test",
    ]
    assert len(README.splitlines()) <= 120


def test_what_predict_prints_is_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    command, shown = COMMAND.search(README).groups()
    shutil.copy(Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    main(command.split())
    printed = capsys.readouterr().out.strip()
    percentage = r"(\d+\.\d)%"
    assert re.sub(percentage, "%", printed) == re.sub(percentage, "%", shown)
    was, stands = ([float(number) for number in re.findall(percentage, text)] for text in (printed, shown))
    assert was == pytest.approx(stands, abs=0.3)  # decoders of JPEG round differently
