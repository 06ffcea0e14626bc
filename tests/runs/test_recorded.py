"""Recorded runs come with the library; a model of another family is a run like the Mixer's."""

import json
import sys

import keras
import pytest
from small_models import count_parameters
from small_runs import small_digits

from mixer_lib import RunResult, build_classifier, evaluate, load_dataset, train, training
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.runs import recorded
from mixer_lib.runs.tables import Table
from tools.maintain import record, shifts


def test_a_run_with_weights_and_one_without_are_both_found():
    cards = recorded.cards()
    assert {"article", "article-digits", "article-as-written"} <= set(cards)
    assert cards["article"]["top5"] == RunResult.load(recorded.FOLDERS[0] / "article.json").top5


def test_a_recorded_run_has_as_many_epochs_as_its_card_says():
    for name, card in recorded.cards().items():
        history = recorded.history(name)
        assert history["epoch"].tolist() == list(range(1, card["epochs_run"] + 1))
        assert history["val_top1"][card["best_epoch"] - 1] == pytest.approx(card["val_top1"], abs=1e-9), name


def test_a_run_that_is_not_recorded_is_refused_by_name():
    with pytest.raises(ValueError, match="'nothing'.*article"):
        recorded.history("nothing")


def test_a_table_has_a_line_for_each_run_and_says_which_is_not_recorded():
    lines = str(recorded.table(["article", "nothing", "article-as-written"])).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["article", "nothing", "article-as-written"]
    assert lines[2].split(maxsplit=1)[1].strip() == "not recorded"
    card = recorded.cards()["article"]
    assert f"{card['top1']:.2%}" in lines[1] and f"{card['val_top5']:.2%}" in lines[1]


def test_a_table_is_html_in_a_notebook_and_refuses_a_row_of_another_length():
    shown = Table(("run", "top-1"), [("a<b", "1%")])
    assert shown._repr_html_().count("<tr>") == 2 and "<td>a&lt;b</td><td>1%</td>" in shown._repr_html_()
    assert str(shown).splitlines() == ["run  top-1", "a<b     1%"]
    with pytest.raises(ValueError, match="2 cells.*'alone'"):
        Table(("run", "top-1"), [("alone",)])


def test_runs_of_a_few_epochs_are_left_out_of_the_table_of_all_runs(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    from cards_table import read_cards

    card = json.dumps({"top1": 0.1, "top5": 0.3, "dataset": "cifar100"})
    for name in ("walk-1-one-norm-each", "gmlp"):
        (tmp_path / f"{name}.json").write_text(card)
    assert [name for name, _, _ in read_cards([tmp_path], "cifar100")] == ["gmlp"]


def test_a_table_of_named_runs_has_those_that_are_recorded_in_the_requested_order(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    from cards_table import COMPARED, card_folders, compared_rows, read_cards

    rows = compared_rows(read_cards(card_folders(root), "cifar100"), ["no-dropout", "nothing", "article-as-written"])
    assert [row[0] for row, _ in rows] == ["no-dropout", "article-as-written"]
    card = recorded.cards()["no-dropout"]
    values = dict(zip(COMPARED, rows[0][0], strict=True))
    assert values["Validation top-5 %"] == f"{100 * card['val_top5']:.2f}"
    assert (values["Epochs"], values["Best epoch"]) == (str(card["epochs_run"]), str(card["best_epoch"]))


def test_the_trials_of_a_sweep_without_test_are_recorded_the_best_first_with_what_they_differ_in(tmp_path, monkeypatch):
    card = json.loads((recorded.FOLDERS[0] / "article-digits.json").read_text())
    history = (recorded.FOLDERS[0] / "article-digits.csv").read_text().splitlines()
    for name, rate, epochs in (("a", 0.002, 3), ("b", 0.005, 9)):
        words = f"python -m mixer_lib train --preset=vit --set=learning_rate={rate} --data=/x --no-test --run-dir=x/{name}"
        changed = {"dataset": "digits-validation", "command": words, "epochs_run": epochs}
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text(json.dumps({**card, **changed}))
        (tmp_path / name / "history.csv").write_text("\n".join(history[: epochs + 1]) + "\n")
    record.record_trials(record.trials_of_a_sweep(tmp_path), tmp_path, "rates", tmp_path / "recorded")
    monkeypatch.setattr(recorded, "RECORDED", tmp_path / "recorded")
    best, other = recorded.rows("rates")
    assert [(row["trial"], row["preset"], row["learning_rate"]) for row in (best, other)] == [
        ("b", "vit", "0.005"),
        ("a", "vit", "0.002"),
    ]
    assert best["command"] == "python -m mixer_lib train --preset=vit --set=learning_rate=0.005 --no-test"
    assert {name: len(epochs) for name, epochs in recorded.trial_epochs("rates").items()} == {"a": 3, "b": 9}
    (tmp_path / "a" / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="test accuracies.*each run"):
        record.trials_of_a_sweep(tmp_path)


def test_a_model_of_another_family_is_trained_and_its_card_and_weights_are_read_again(tmp_path):
    digits, config = small_digits(), GmlpConfig(8, 4, 1, 12, num_classes=10, ffn_dim=8)
    result = train(config, digits, tmp_path, epochs=1, name="other")
    again = RunResult.load(tmp_path / "card.json")
    assert again == result
    assert GmlpConfig(**again.config) == config
    model = build_classifier(GmlpConfig(**again.config))
    model.load_weights(tmp_path / "best.weights.h5")
    assert evaluate(model, digits.x_test, digits.y_test)["top1"] == pytest.approx(result.top1, abs=1e-9)
    assert result.parameters == count_parameters(model)


def test_a_published_model_laid_out_is_a_finished_run(tmp_path, monkeypatch):
    record.lay_out(tmp_path / "run", "article-digits")
    monkeypatch.setattr(training, "build_classifier", lambda *_: pytest.fail("a model was built"))
    card = RunResult.load(tmp_path / "run" / "card.json")
    monkeypatch.setattr(keras, "__version__", card.versions["keras"])  # a run belongs to the Keras it was made with
    assert train("article", load_dataset("digits"), tmp_path / "run", card.epochs_asked, card.seed) == card
    with pytest.raises(FileExistsError):
        record.lay_out(tmp_path / "run", "article-digits")


def test_accuracies_on_moved_pictures_are_recorded_for_each_run(tmp_path, monkeypatch):
    record.lay_out(tmp_path / "mine", "article-digits")
    monkeypatch.setattr(sys, "argv", ["shifts", "moved", str(tmp_path / "mine"), "--dataset", "digits"])
    shifts.main(tmp_path)
    monkeypatch.setattr(recorded, "RECORDED", tmp_path)
    rows, card = recorded.rows("moved"), recorded.cards()["article-digits"]
    assert [int(row["pixels"]) for row in rows] == list(shifts.PIXELS)
    assert {(row["run"], row["seed"]) for row in rows} == {("mine", str(card["seed"]))}
    first, last = float(rows[0]["top1"]), float(rows[-1]["top1"])
    assert first == pytest.approx(card["top1"]) and last < first - 0.1
    monkeypatch.setattr(sys, "argv", ["shifts", "moved", str(tmp_path / "mine"), str(tmp_path), "--dataset", "digits"])
    with pytest.raises(SystemExit, match="holds no run"):  # before any work
        shifts.main(tmp_path)
    assert len(recorded.rows("moved")) == len(rows)
