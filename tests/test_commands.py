"""`python -m mixer_lib predict`, `evaluate` and `export`: tables, JSON, one line for what is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_models import random_images
from small_runs import REQUESTED, TINY, python_environment, small_digits, train_nothing

import mixer_lib
from mixer_lib import evaluate, load_dataset, load_run, predict, train
from mixer_lib.__main__ import main
from mixer_lib.runs.folder import RunFolder
from mixer_lib.runs.ranks import pack_ranks
from mixer_lib.runs.recorded import PRETRAINED

DIGITS = load_dataset("digits")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on digits of 8x8."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        train_nothing(patch)
        train(TINY, small_digits(), folder, **REQUESTED)
    return folder


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Three pictures in the working folder's subfolder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shots").mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.tif")):
        Image.fromarray(random_images(1, side=20, seed=i)[0]).save(tmp_path / "shots" / name)
    return tmp_path / "shots"


def refusal(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, str) and end.value.code.startswith("error: ") and "\n" not in end.value.code
    return end.value.code


def test_predict_prints_a_row_for_each_picture_with_its_file(run, pictures, capsys):
    main(["predict", str(run), "shots", "-k", "2"])
    rows = capsys.readouterr().out.splitlines()
    found = predict(load_run(run)[0], pictures, k=2, class_names=list("0123456789"))
    for row, guesses, name in zip(rows, found, ("a.png", "b.jpg", "c.tif"), strict=True):
        (best, chance), (second, _) = guesses
        assert row.split() == [os.path.join("shots", name), best, f"{chance:.1%}", second, row.split()[-1]]


def test_predict_takes_files_and_gives_json(run, pictures, capsys):
    main(["predict", str(run), "shots/b.jpg", "shots/a.png", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["shots/b.jpg", "shots/a.png"]
    assert all(len(row["guesses"]) == 5 and set(row["guesses"][0]) == {"class", "probability"} for row in rows)


def test_a_warning_is_one_line_on_stderr_and_the_table_stays_clean(run, pictures, capsys):
    (pictures / "notes.txt").write_text("x")
    main(["predict", str(run), "shots"])
    out, err = capsys.readouterr()
    assert err.startswith("warning: 3 pictures of shots") and err.count("\n") == 1 and len(out.splitlines()) == 3


def test_evaluate_prints_the_scores_on_the_test_pictures(run, tmp_path, capsys):
    for number in range(10):
        (tmp_path / "mine" / str(number)).mkdir(parents=True)
        for i, place in enumerate(np.flatnonzero(DIGITS.y_train == number)[:6]):
            Image.fromarray(DIGITS.x_train[place]).save(tmp_path / "mine" / str(number) / f"{i}.png")
    main(["evaluate", str(run), str(tmp_path / "mine"), "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    data = mixer_lib.dataset_from_folder(tmp_path / "mine", 8)
    assert {key: found[key] for key in ("loss", "top1", "top5")} == evaluate(load_run(run)[0], data.x_test, data.y_test)
    assert (found["images"], found["data_fingerprint"]) == (len(data.x_test), data.fingerprint)
    main(["evaluate", str(run), str(tmp_path / "mine")])
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"top-1 {found['top1']:.2%}" in line and f"{found['images']} test pictures of mine" in line


def test_export_writes_the_file_and_says_where_it_is(run, tmp_path, monkeypatch, capsys):
    pytest.importorskip("safetensors", reason="needs the extra `export`")
    monkeypatch.chdir(tmp_path)
    main(["export", str(run), "digits.safetensors"])
    assert capsys.readouterr().out.startswith("digits.safetensors (")
    assert sorted(os.listdir()) == ["digits.safetensors", "digits.safetensors.json"]


def made_run(folder, seed, right, fingerprint="f"):
    """A run folder whose first `right` of 100 test pictures are right, and all in the first five."""
    fields = {**json.loads((PRETRAINED / "article-digits.json").read_text()), "data_fingerprint": fingerprint}
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({**fields, "seed": seed}))
    (folder / "ranks.npy").write_bytes(pack_ranks(np.where(np.arange(100) < right, 0, 2)))


def test_two_groups_of_runs_are_compared_by_sentences_or_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        made_run(tmp_path / "all" / f"a b-seed{seed}", seed, right=80 + seed)
        made_run(tmp_path / "all" / f"c-seed{seed}", seed, right=20)
    main(["compare", "all/a b", "all/c"])
    top1, top5 = capsys.readouterr().out.splitlines()
    assert top1.startswith("all/a b has 81.00% top-1 (mean of 3 seeds), all/c has 20.00% (mean of 3 seeds): higher (")
    assert "no difference found (+0.00 points" in top5
    main(["compare", "all/c-seed1", "all/a b", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["first"] == ["all/c-seed1"] and len(found["second"]) == 3
    assert found["top1"]["value"] == pytest.approx(-0.61) and found["top1"]["found"] is False  # one run against three


def test_runs_are_compared_on_the_same_pictures_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, fingerprint in (("a", "f"), ("b", "g")):
        made_run(tmp_path / name, 0, right=50, fingerprint=fingerprint)
    assert "a and b do not have the same data" in refusal(["compare", "a", "b"])
    assert "nowhere is neither a run folder nor a group" in refusal(["compare", "a", "nowhere"])
    (tmp_path / "b" / "ranks.npy").unlink()
    assert "ranks.npy" in refusal(["compare", "b", "a"])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("predict nothing shots", ("nothing is neither a run folder nor a published model", "article-plus")),
        ("predict {run} missing.png", ("missing.png", "No such file")),
        ("predict {run} shots -k 11", ("k must be", "11")),
        ("predict {run} shots --image-size 12", ("image_size=12", "multiple, such as 16")),
        ("evaluate {run} nowhere", ("nowhere", "digits")),
        ("evaluate {run} digits", ("image_size=8", "32x32")),
        ("evaluate {run} two", ("two has other classes than the model", "cat")),
        ("export {run} model.pt", ("model.pt", ".onnx")),
    ],
)
def test_what_is_wrong_ends_with_one_line(run, pictures, arguments, parts):
    for place, name in enumerate(("cat", "dog")):
        (pictures.parent / "two" / name).mkdir(parents=True)
        for i, image in enumerate(random_images(5, seed=place)):
            Image.fromarray(image).save(pictures.parent / "two" / name / f"{i}.png")
    line = refusal(arguments.format(run=run).split())
    assert all(part in line for part in parts), line


CONSOLE_SCRIPT = "import sys; from mixer_lib.__main__ import main; sys.exit(main(['predict', '--help']))"
CARD = "import mixer_lib, sys; mixer_lib.RunResult.load(sys.argv[1]); print('--json')"


@pytest.mark.parametrize("arguments", [["-m", "mixer_lib", "predict", "--help"], ["-c", CONSOLE_SCRIPT], ["-c", CARD]])
def test_help_and_a_card_do_not_wait_for_keras_or_numpy(arguments):
    card = PRETRAINED / "article.json"
    command = [sys.executable, "-X", "importtime", *arguments, *([card] if CARD in arguments else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=python_environment())
    assert done.returncode == 0 and "--json" in done.stdout, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "json" in imported and not {"keras", "tensorflow", "jax"} & imported
    assert CARD in arguments or "numpy" not in imported


def test_a_part_of_the_library_is_there_without_an_import_of_its_own():
    script = "import mixer_lib; print(mixer_lib.validation.FLOAT32_MAX, mixer_lib.requirements.BACKENDS[0])"
    script += "; print(hasattr(mixer_lib, 'nothing'), hasattr(mixer_lib, '__wrapped__'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=python_environment())
    assert done.stdout.split() == ["3.4e+38", "tensorflow", "False", "False"], done.stderr


def test_a_home_folder_is_found_by_its_short_name_in_training(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for place, name in enumerate(("cat", "dog")):
        (tmp_path / "two" / name).mkdir(parents=True)
        for i, image in enumerate(random_images(5, seed=place)):
            Image.fromarray(image).save(tmp_path / "two" / name / f"{i}.png")
    seen = []
    monkeypatch.setattr(mixer_lib, "train", lambda *arguments, **_: seen.extend(arguments) or sys.exit("enough"))
    with pytest.raises(SystemExit, match="enough"):
        main(["train", "--dataset", "~/two", "--run-dir", "~/run"])
    assert seen[1].name == "two" and RunFolder(seen[2]).path == tmp_path / "run"
