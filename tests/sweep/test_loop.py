"""A sweep without Ray: what is run, what is taken from its card, what is told; each command runs in this process."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from small_runs import forbid_steps, train_nothing
from small_sweeps import HEAD, ONE_BY_TWO, TINY, TWO_BY_TWO, InThisProcess, run

from mixer_lib import RunResult
from mixer_lib.__main__ import main
from mixer_lib.runs.provenance import cores
from mixer_lib.sweep import cost, engine
from mixer_lib.sweep.loop import locked
from mixer_lib.sweep.plan import read_plan
from mixer_lib.sweep.search import Search
from mixer_lib.sweep.sweep import sweep

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="only where Python has tomllib")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "device_of_a_run", lambda cpus: "a device")
    train_nothing(monkeypatch)


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "many.toml").write_text(text)
        return "many.toml"

    return write


def run_nothing(file, **options):
    """A sweep that starts no engine."""
    sweep(file, make_engine=lambda cpus, address: pytest.fail("the engine was started"), **options)


def test_every_run_is_trained_once_and_the_table_has_mean_and_spread(write, tmp_path, capsys, monkeypatch):
    file = write(TWO_BY_TWO)
    assert run(InThisProcess(), file, as_json=True) == ["a-seed0", "a-seed1", "b-seed0", "b-seed1"]
    rows = json.loads(capsys.readouterr().out.partition("[\n")[2].join(("[", "")))
    cards = [RunResult.load(tmp_path / "runs/many" / f"a-seed{seed}/card.json") for seed in (0, 1)]
    assert [row["group"] for row in rows] == ["a", "b"] and [card.preset for card in cards] == ["a", "a"]
    mean = (cards[0].top1 + cards[1].top1) / 2
    assert (rows[0]["n"], rows[0]["top1"]["mean"]) == (2, pytest.approx(mean))
    assert rows[0]["top1"]["sd"] == pytest.approx(abs(cards[0].top1 - cards[1].top1) / 2**0.5)
    assert cards[0].command == "python -m mixer_lib " + " ".join(words_of("a-seed0"))

    forbid_steps(monkeypatch)
    run_nothing(file)  # all is taken from the cards
    table = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert table == [["a", "2", f"{mean:.2%}"], ["b", "2", f"{rows[1]['top1']['mean']:.2%}"]]


def test_of_runs_without_a_test_the_table_has_the_validation_accuracy_alone(write, tmp_path, capsys):
    run(InThisProcess(), write(f"test = false\n{ONE_BY_TWO}"), as_json=True)
    (row,) = json.loads(capsys.readouterr().out.partition("[\n")[2].join(("[", "")))
    cards = [RunResult.load(tmp_path / "runs/many" / f"a-seed{seed}/card.json") for seed in (0, 1)]
    assert (row["top1"], row["top5"]) == (None, None) and {card.dataset for card in cards} == {"digits-validation"}
    assert row["val_top1"]["mean"] == pytest.approx((cards[0].val_top1 + cards[1].val_top1) / 2)
    run_nothing("many.toml")
    assert capsys.readouterr().out.splitlines()[-1].split()[:5] == [
        "a",
        "2",
        "-",
        "-",
        f"{row['val_top1']['mean']:.2%}",
    ]


def words_of(name):
    return next(job.words() for job in read_plan("many.toml").jobs if job.folder.name == name)


def test_a_run_that_fails_is_told_and_the_same_command_tries_it_again(write, tmp_path, capsys):
    file, blocked = write(ONE_BY_TWO), tmp_path / "runs/many/a-seed1"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    with pytest.raises(SystemExit, match="1 of 2 runs failed; the same command tries them again"):
        run(InThisProcess(), file)
    told = capsys.readouterr()
    assert "a-seed1: failed: The run folder" in told.err and told.out.splitlines()[-1].split()[:2] == ["a", "1"]
    blocked.unlink()
    assert run(InThisProcess(), file) == ["a-seed1"]


def test_ctrl_c_stops_all_runs_and_the_same_command_goes_on_with_the_rest(write):
    def stop(words):
        if "--run-dir=runs/many/a-seed1" in words:
            raise KeyboardInterrupt

    stopped = InThisProcess(act=stop)
    with pytest.raises(KeyboardInterrupt, match="1 of 2 runs are finished"):
        run(stopped, write(ONE_BY_TWO))
    assert stopped.stopped and stopped.begun == ["a-seed0", "a-seed1"]
    assert run(InThisProcess(), "many.toml") == ["a-seed1"]


def test_a_folder_of_another_run_is_refused_before_anything_starts(write):
    run(InThisProcess(), write(f'name = "same"\n{HEAD}{TINY}'))
    write(f'name = "same"\n{HEAD}{TINY}'.replace("hidden_dim = 8", "hidden_dim = 12"))
    with pytest.raises(ValueError, match="same-seed0 holds a run with config = .*'hidden_dim': 8"):
        run_nothing("many.toml")


def test_a_second_sweep_in_the_folder_is_refused(write, tmp_path):
    with (
        locked(tmp_path / "runs/many"),
        pytest.raises(ValueError, match="runs/many is in use by another sweep.*continues"),
    ):
        run(InThisProcess(), write(HEAD + TINY))


def test_a_dry_run_lists_the_commands_and_that_nothing_tells_the_hours(write, tmp_path, capsys):
    file = write(TWO_BY_TWO)
    run_nothing(file, dry_run=True)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 5 and shown[0] == "to do: " + " ".join(words_of("a-seed0"))
    assert shown[-1] == "How long 4 runs take is not known: no card is of this machine and digits."
    assert not (tmp_path / "runs").exists()


def test_hours_are_told_by_the_card_of_this_machine_whose_model_is_most_alike(tmp_path):
    cards = {"a": ("a device", "digits", 1000, 2.0), "b": ("a device", "digits-validation", 4000, 7.0)}
    cards |= {"c": ("another", "digits", 1000, 9.0), "d": ("a device", "cifar100", 1000, 9.0)}
    for name, values in cards.items():
        card = dict(zip(("device", "dataset", "macs", "seconds_per_epoch"), values, strict=True))
        (tmp_path / "many" / name).mkdir(parents=True)
        (tmp_path / "many" / name / "card.json").write_text(json.dumps(card))
    work = [("digits", 2000, 900), ("digits", 4000, 1200)]  # 2 x 2 seconds an epoch, 7 seconds an epoch
    told = cost.estimate(work, tmp_path / "many", cpus=1, slots=2)
    names = ", ".join(str(tmp_path / "many" / name) for name in "ab")
    assert told == f"2 runs take about 1.7 hours, 2 at once, by the card of {names}."
    assert cost.estimate([], tmp_path / "many", cpus=1, slots=2) == "No run is left to do."


def test_more_cpus_than_there_are_are_refused_before_ray_starts(write, monkeypatch):
    monkeypatch.setattr(engine, "import_ray", lambda local: pytest.fail("Ray was imported"))
    most = cores()
    with pytest.raises(SystemExit, match=f"error: --cpus-per-run={most + 1}, and there are {most}"):
        main(["sweep", write(HEAD + TINY), f"--cpus-per-run={most + 1}"])
    with pytest.raises(SystemExit, match="error: --cpus-per-run must be a whole number of at least 1"):
        main(["sweep", "many.toml", "--cpus-per-run=0"])


def test_without_ray_or_optuna_one_line_says_how_to_install_it(write, monkeypatch):
    for package, more in (("ray", ""), ("optuna", 'search = "halving"\n')):
        monkeypatch.setitem(sys.modules, package, None)
        text = more + HEAD + TINY.replace("patch_size = 8", "patch_size = [8, 16]")
        with pytest.raises(SystemExit, match=r"^error: A .* pip install (optuna|ray) .*$"):
            main(["sweep", write(text)])


def test_a_node_without_the_storage_or_with_another_version_is_named(tmp_path):
    class Ray:
        """A cluster of one node that sees `seen`."""

        def nodes(self):
            place = {"NodeManagerAddress": "10.0.0.7", "NodeManagerHostname": "far", "NodeID": "1" * 56}
            return [{"Alive": True, "Resources": {"CPU": 2}, **place}, {"Alive": True, "Resources": {}, **place}]

    pytest.importorskip("ray", reason="only with Ray")
    cluster = engine.RayEngine(address="far:1")
    cluster.ray = fake = Ray()
    fake.cloudpickle, fake.get = cluster_pickle(), lambda seen: seen
    for answer, part in ((None, "does not see"), ("1.0", "has mixer_lib 1.0")):

        def remote(answer=answer, **options):
            def look_at(file, folder):
                return (Path(file).read_text() if answer else None), answer or "0"

            return lambda function: type("Task", (), {"remote": staticmethod(look_at)})

        fake.remote = remote
        with pytest.raises(ValueError, match=rf"The node 10.0.0.7 \(far\) {part}"):
            cluster.check_storage(tmp_path)
    assert list(tmp_path.iterdir()) == []


def cluster_pickle():
    return type("Pickle", (), {"register_pickle_by_value": staticmethod(lambda module: None)})


# --- a search -------------------------------------------------------------------------------------

SEARCH = (
    'search = "halving"\ntrials = 5\n' + HEAD.replace("2", "4") + TINY.replace("hidden_dim = 8", "hidden_dim = [8, 12]")
)


@pytest.mark.skipif(not importlib.util.find_spec("optuna"), reason="only with Optuna")
def test_a_search_keeps_every_trial_with_its_command_and_goes_on_where_it_was(write, tmp_path, capsys):
    text = SEARCH.replace("}", ", learning_rate = { low = 0.001, high = 0.1, log = true } }")

    def stop(words):
        if "--name=trial002" in words:
            raise KeyboardInterrupt

    stopped = InThisProcess(slots=1, act=stop)
    with pytest.raises(KeyboardInterrupt, match="2 of 5 runs are finished"):
        run(stopped, write(text))
    begun = run(InThisProcess(slots=1), "many.toml", as_json=True)
    assert begun == ["trial002", "trial003", "trial004"]
    rows = json.loads("[" + capsys.readouterr().out.partition("[\n")[2])
    assert len(rows) == 5 and {row["state"] for row in rows} <= {"complete", "pruned"}
    table = (tmp_path / "runs/many/trials.csv").read_text().splitlines()
    assert len(table) == 6 and table[0].endswith("hidden_dim,learning_rate,command")
    assert all("--no-test" in line for line in table[1:])
    assert len({row["learning_rate"] for row in rows}) == 5  # what goes on draws other values
    card = RunResult.load(tmp_path / "runs/many" / rows[0]["trial"] / "card.json")
    assert card.dataset == "digits-validation" and card.top1 == card.val_top1 == rows[0]["val_top1"]
    run_nothing("many.toml")  # nothing is left to do
    best = capsys.readouterr().out.splitlines()[-1]
    rate, width = (f"--set={field}={rows[0][field]}" for field in ("learning_rate", "hidden_dim"))
    assert best.startswith("The best, trained again and tested: python -m mixer_lib train --preset=article --set=")
    assert rate in best and width in best and "--no-test" not in best and "trial" not in best.partition("--set")[2]
    write(text.replace("0.001", "0.002"))
    with pytest.raises(ValueError, match="holds a search for something else"):
        run(InThisProcess(), "many.toml")


@pytest.mark.skipif(not importlib.util.find_spec("optuna"), reason="only with Optuna")
def test_a_trial_that_falls_behind_is_stopped_and_one_that_lacks_disk_is_left_for_the_next_time(write, tmp_path):
    plan = read_plan(write(SEARCH.replace("epochs = 4", "epochs = 9")))
    plan.folder.mkdir(parents=True)
    search, row = Search(plan), {"val_top1": "0.5", "val_top5": "0.9", "seconds": "1"}
    jobs = [search.next() for _ in range(4)]

    def epochs(job, losses):
        rows = [{**row, "epoch": str(epoch), "val_loss": str(loss)} for epoch, loss in enumerate(losses, 1)]
        job.folder.mkdir(exist_ok=True)
        lines = [",".join(rows[0]), *(",".join(one.values()) for one in rows)]
        (job.folder / "history.csv").write_text("\n".join(lines))
        return rows

    good, bad, full, wild = jobs
    for job in (good, full, wild):
        assert not search.watch(job, epochs(job, [2.0]))
    assert search.watch(bad, epochs(bad, [3.0, 2.9])) is True
    assert search.ended(bad, "stopped") == ("fell behind and was stopped after 2 epochs", False)
    assert search.ended(full, "No space left on device") == ("failed: No space left on device", True)
    assert search.ended(wild, "The loss became nan: training diverged.")[1] is False
    epochs(good, [2.0, 1.5, 1.75])
    assert search.ended(good, "")[1] is False
    assert [(one["trial"], one["state"]) for one in search.rows()] == [
        ("trial000", "complete"), ("trial001", "pruned"), ("trial002", "running"), ("trial003", "fail"),
    ]  # fmt: skip
    assert search.rows()[0]["val_loss"] == 1.5 and search.left() == 2
    search.study.ask()  # and is killed before it has drawn
    again = Search(plan)
    kept, drawn = again.next(), again.next()
    assert (kept.folder, kept.changes) == (full.folder, full.changes)
    assert drawn.folder.name == "trial004" and set(drawn.changes) == set(full.changes)
    assert again.next() is None
    assert Search(dataclasses.replace(plan, trials=3)).next() is None  # fewer than before: what was cut off stays so
