"""The benchmark: it compares the same model, reckons rightly, and leaves a card that appendix C can show."""

import csv
import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mixer_lib import MixerBlock, MixerConfig, figures, multiply_adds
from mixer_lib.analysis import benchmarks
from mixer_lib.compat import KERAS_3
from mixer_lib.models.family import FAMILY
from mixer_lib.runs.checkpoint import HISTORY

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench
import clock
import models
import worker

if KERAS_3:
    import parts

TINY = MixerConfig(8, 4, 1, 8, 4, 4, num_classes=10, dropout=0.2, shared_norm=True)
SECONDS = {"article": 0.2, "loop": 0.18, "zoom": 0.16, "xla": 0.1, "masks": 0.08, "layers": 0.06, "mixer_lib": 0.05}
SECONDS |= {"torch": 0.25, "torch, compiled": 0.15, "jax": 0.09}


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8), draw.integers(0, 10, 64)


def test_every_stage_computes_the_same_function(pictures):
    images, _ = pictures
    ours = models.keras_model("mixer_lib", TINY, images)
    logits = np.asarray(ours(images[:8]))
    assert np.ptp(logits) > 0.1
    for stage in list(models.STAGES)[:-1]:
        model = models.keras_model(stage, TINY, images)
        model.set_weights(ours.get_weights())
        assert np.allclose(np.asarray(model(images[:8], training=False)), logits, atol=1e-5), stage
    plain = models.predicting_model("mixer_lib", ours, TINY, images)
    assert type(plain.get_layer("block_0")) is MixerBlock
    assert np.allclose(np.asarray(plain(images[:8])), logits, atol=1e-5)


def test_the_article_s_way_is_timed_within_fit_without_its_first_steps(pictures, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock))
    verbs = worker.keras_contender("article", TINY, *pictures, batch=16)
    monkeypatch.setattr(models.keras.Model, "fit", fit_that_only_calls_back)
    assert verbs["train"](4) == 4  # the clock is read once a step


def fit_that_only_calls_back(self, images, labels, batch_size, callbacks, **others):
    assert len(images) == len(labels)
    for number in range(len(images) // batch_size):
        for callback in callbacks:
            callback.on_train_batch_end(number, {})


def test_a_worker_answers_line_by_line():
    answers = io.StringIO()
    worker.serve({"train": lambda steps: steps / 4, "peak": lambda _: 1e9}, ["train 2\n", "peak\n"], answers)
    assert answers.getvalue().split() == ["0.5", "1000000000.0"]


def test_a_worker_in_a_process_of_its_own_trains_predicts_and_says_when_it_breaks_off():
    with bench.Worker("loop", TINY, batch=16) as contender:
        assert contender.ask("train", 2) > 0
        assert contender.ask("predict", 2) > 0
        with pytest.raises(RuntimeError, match="'loop' broke off.*worker.py.*then type: sleep 1"):
            contender.ask("sleep")
    assert contender.process.returncode


def test_ratios_are_taken_within_a_round_and_then_their_median():
    seconds = {"article": [1.0, 2.0, 4.0], "ours": [0.5, 0.5, 4.0]}  # the machine is slower in each round
    found = bench.summary(seconds, "article", flops=1e9, peak=4e9, batch=10)
    assert found["article"] == {
        "milliseconds_a_step": 2000,
        "images_a_second": 5,
        "times_as_fast": 1,
        "share_of_peak": 0.125,
    }
    assert found["ours"]["times_as_fast"] == 2  # of 2, 4 and 1; the medians' ratio would be 4
    assert found["ours"]["share_of_peak"] == 0.5


class FakeWorker:
    """A contender whose steps take what SECONDS says; notes the order in which it is asked."""

    asked = []

    def __init__(self, name, config, batch=bench.BATCH, python=None):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, verb, steps=1):
        self.asked.append((self.name, verb))
        return 1e11 if verb == "peak" else SECONDS.get(self.name, 0.05) * steps / (1 if verb == "train" else 4)


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(bench, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "asked", [])
    monkeypatch.setattr(clock, "every_day", dict)
    return bench.measure(TINY, python_with_torch="python", python_with_jax="python", rounds=2, steps=5, batch=32)


def test_the_contenders_take_turns(card):
    names = [name for name, verb in FakeWorker.asked if verb == "train"]
    assert names[: 3 * len(SECONDS)] == [*SECONDS] * 3  # a turn for warming up, two rounds


def test_the_card_says_what_was_measured_on_what(card):
    assert [*card["train"]] == [*SECONDS]
    assert [*card["predict"]] == ["article", "mixer_lib", "torch", "torch, compiled"]
    assert card["train"]["mixer_lib"]["milliseconds_a_step"] == 50
    assert card["train"]["mixer_lib"]["times_as_fast"] == pytest.approx(4)
    assert card["train"]["mixer_lib"]["share_of_peak"] == round(6 * 32 * multiply_adds(TINY) / 0.05 / 1e11, 3)
    assert card["peak_gflops"] == 100
    assert card["versions"]["backend"] == "tensorflow" and card["device"] and card["stages"] == models.STAGES


def test_a_recorded_card_is_found_and_another_file_is_refused(card, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", lambda *given: card)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(benchmarks, "MEASURED", tmp_path / "measured")
    assert benchmarks.recorded(tmp_path / "measured") == {}
    monkeypatch.setattr(sys, "argv", ["bench.py", "--record", "cpu-keras3"])
    bench.main()
    assert benchmarks.recorded(tmp_path / "measured") == {"cpu-keras3": json.loads(json.dumps(card))}
    assert "card: measured/cpu-keras3.json" in capsys.readouterr().out
    (tmp_path / "measured" / "other.json").write_text(json.dumps({**card, "train": {"article": {}}}))
    with pytest.raises(ValueError, match="other.json is not the card of a benchmark"):
        benchmarks.recorded(tmp_path / "measured")


def test_a_name_that_would_leave_the_folder_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.py", "--record", "../card"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "Received: '../card'" in capsys.readouterr().err


def test_savings_add_up_to_the_whole(card):
    saved = benchmarks.savings(card)
    assert [*saved] == [*models.STAGES][1:]
    assert sum(saved.values()) == pytest.approx(200 - 50)


def test_the_waterfall_goes_from_the_article_s_step_down_to_ours(card):
    slower = json.loads(json.dumps(card))
    slower["train"]["zoom"]["milliseconds_a_step"] = 190  # a stage that costs
    figure = figures.step_waterfall({"one": card, "two": slower})
    bars, others = ([(bar.get_x(), bar.get_width()) for bar in ax.patches] for ax in figure.axes)
    assert bars[0] == (0, 200) and bars[7] == (0, 50) and bars[8] == (0, 250)
    ends = [start + width for start, width in bars[1:7]]
    assert ends == pytest.approx([200, 180, 160, 100, 80, 60])  # each begins where the one before has ended
    assert others[2] == pytest.approx((180, 10))
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts[:4] == ["200", "-20", "+10", "-90"]
    assert all(card["device"] in ax.get_title() for ax in figure.axes)


def test_recorded_benchmarks_are_of_the_article_s_model():
    for name, found in benchmarks.recorded().items():
        assert found["batch"] == bench.BATCH and list(found["stages"]) == list(models.STAGES), name


def test_one_size_grows_at_a_time_and_its_work_with_it(monkeypatch):
    seen = []

    class Noting(FakeWorker):
        def __init__(self, name, config, batch=bench.BATCH, python=None):
            super().__init__(name, config, batch)
            changed = {key for key, value in dataclasses.asdict(config).items() if value != getattr(TINY, key)}
            seen.append(changed | ({"batch"} if batch != bench.BATCH else set()))

        def ask(self, verb, steps=1):
            return 0.05 * steps

    monkeypatch.setattr(bench, "Worker", Noting)
    sizes = bench.cost_of_size(TINY, rounds=1, steps=2)
    assert all(len(changed) <= 1 for changed in seen) and len(seen) == sum(map(len, bench.SIZES.values()))
    assert [row["multiply_adds"] for row in sizes["batch"]] == [3 * n * multiply_adds(TINY) for n in (128, 256, 512)]
    assert sizes["batch"][0]["milliseconds_a_step"] == 50
    table = str(benchmarks.tables({"sizes": sizes})["Cost against size"])
    assert table.splitlines()[-1].split() == ["batch", "512", "50.0", "1.00", "4.00", "0.25"]


def test_the_family_s_steps_take_turns_and_are_set_beside_their_work(monkeypatch):
    monkeypatch.setattr(bench, "Worker", FakeWorker)
    monkeypatch.setitem(SECONDS, "family: cnn", 0.15)
    monkeypatch.setitem(SECONDS, "family: cnn, with XLA", 0.2)
    found = bench.cost_of_family(TINY, rounds=2, steps=5)
    assert [*found] == [*FAMILY] and found["mixer"]["multiply_adds"] == 3 * bench.BATCH * 8_794_624
    last = str(benchmarks.tables({"family": found})["The family"]).splitlines()[-1]
    assert last.split() == ["cnn", "150.0", "3.00", f"{multiply_adds(FAMILY['cnn']) / 8_794_624:.2f}", "200.0"]
    assert [name for name, row in found.items() if "milliseconds_with_xla" in row] == ["convmixer", "cnn"]


# --- where a step's time goes ---------------------------------------------------------------------


only_faster = pytest.mark.skipif(not KERAS_3, reason="only on Keras 3")


@only_faster
@pytest.mark.parametrize("part", [None, "GELU", "LayerNorm", "dropout", "augmentation", "AdamW"])
def test_a_step_without_a_part_trains_and_lacks_that_part_alone(part, pictures, monkeypatch):
    images, labels = pictures
    used = []
    for name in ("layer_norm", "dropout"):
        real = getattr(parts.layers, name)
        monkeypatch.setattr(parts.layers, name, lambda *given, real=real, name=name: used.append(name) or real(*given))
    monkeypatch.setattr(parts.keras.activations, "gelu", lambda x, approximate: used.append("gelu") or x)
    model, step = parts.step_without(part, TINY, images)
    before = [np.array(weight) for weight in model.trainable_weights]
    assert np.isfinite(float(step(images[:16], labels[:16])["loss"]))
    assert any(np.any(np.asarray(weight) != old) for weight, old in zip(model.trainable_weights, before, strict=True))
    assert ("gelu" in used) == (part != "GELU")
    assert ("layer_norm" in used) == (part != "LayerNorm")
    augment = model.get_layer("augment" if part != "augmentation" else model.layers[2].name)
    assert (augment.zoom == 0 and not augment.mirror) == (part == "augmentation")
    assert isinstance(model.optimizer, parts.keras.optimizers.SGD) == (part == "AdamW")
    assert (model.get_layer("block_0").token_mixing.drop.rate == 0) == (part == "dropout")


@only_faster
def test_the_products_are_those_of_the_model_s_multiply_adds():
    shapes = parts.product_shapes(TINY, batch=3)
    assert sum(m * k * n for m, k, n in shapes) == 3 * multiply_adds(TINY)
    assert np.isfinite(float(parts.products_step(TINY, batch=4)()["loss"]))


@only_faster
def test_a_part_takes_what_a_step_without_it_saves(monkeypatch):
    class Parts(FakeWorker):
        def ask(self, verb, steps=1):
            taken = {"whole": 0.05, "products": 0.02, "without GELU": 0.04}
            return 0.1 if verb == "idle" else taken.get(self.name, 0.05) * steps

    monkeypatch.setattr(bench, "Worker", Parts)
    found = bench.parts_of_a_step(TINY, rounds=2, steps=5)
    assert found["step"] == 50 and found["matrix products"] == 20 and found["cores idle"] == 0.1
    assert found["parts"] == {**dict.fromkeys(parts.PARTS, 0), "GELU": 10}
    table = str(benchmarks.tables({"parts": found})["Where a step's time goes"])
    assert ["saved", "without", "GELU", "10.0", "20%"] in map(str.split, table.splitlines())


# --- what one waits for ---------------------------------------------------------------------------


def test_each_of_what_one_waits_for_runs_and_a_failure_shows_its_last_words(tmp_path):
    assert 0 < clock.seconds([sys.executable, "-c", "print(1)"], tmp_path) < 60
    with pytest.raises(RuntimeError, match="no such thing"):
        clock.seconds([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_what_takes_seconds_is_measured_and_shown(monkeypatch):
    monkeypatch.setattr(clock, "seconds", lambda command, folder, **more: 1.25)
    found = clock.every_day()
    assert found == dict.fromkeys(clock.EVERY_DAY, 1.25)
    assert "mixer-lib --help" in str(benchmarks.tables({"clock": found})["What one waits for"])


# --- learning curves of both paths ----------------------------------------------------------------


def history(top1):
    rows = [f"{epoch},1.0,0.005,{3 - value},{value},0.5,{2 - value},{value},0.5" for epoch, value in enumerate(top1, 1)]
    return "\n".join(["epoch,seconds,lr,loss,top1,top5,val_loss,val_top1,val_top5", *rows]) + "\n"


@pytest.fixture
def two_paths(tmp_path):
    for path, seeds in {"plain": ([0.1, 0.2], [0.1, 0.3]), "fast": ([0.1, 0.2], [0.1, 0.5])}.items():
        for seed, values in enumerate(seeds):
            (tmp_path / f"{path}-{seed}.csv").write_text(history(values))
    return benchmarks.learning_curves(tmp_path)


def test_how_far_the_paths_are_apart_is_set_beside_how_far_seeds_are(two_paths, tmp_path):
    assert two_paths["plain"]["val_top1"].tolist() == [[0.1, 0.2], [0.1, 0.3]]
    assert benchmarks.seed_spread(two_paths, "val_top1", last=1) == pytest.approx((0.1, 0.3))  # means 0.25 and 0.35
    assert benchmarks.seed_spread(two_paths, "loss", last=2) == pytest.approx((0.05, 0.15))
    assert benchmarks.learning_curves(tmp_path / "nowhere") == {}


def test_the_figure_has_a_mean_and_a_band_for_each_path(two_paths):
    losses, accuracies = figures.seed_bands(two_paths).axes
    assert [line.get_ydata().tolist() for line in accuracies.lines] == [
        pytest.approx([10, 25]),
        pytest.approx([10, 35]),
    ]
    assert len(losses.collections) == 2 and all("2 seeds" in line.get_label() for line in losses.lines)


@pytest.mark.parametrize("path", benchmarks.PATHS)
def test_both_paths_write_a_history_of_the_same_form_on_the_same_validation_set(path, capsys):
    import curves
    from small_runs import small_digits

    data = small_digits()
    text = getattr(curves, path)(TINY, data, seed=0, epochs=2)
    assert [*csv.DictReader(io.StringIO(text))][1]["epoch"] == "2"
    head, *rows = [line.split(",") for line in text.splitlines()]
    assert head == [*HISTORY] and len(rows) == 2
    shares = np.float64([[row[head.index(key)] for key in ("val_top1", "val_top5")] for row in rows])
    count = len(data.validation_split()[1][1])
    assert np.allclose(shares * count, np.round(shares * count))


def test_the_recorded_paths_learn_the_same_to_within_what_seeds_differ():
    found = benchmarks.learning_curves()
    assert {path: histories.shape for path, histories in found.items()} == {"plain": (5, 15), "fast": (5, 15)}
    for column in ("loss", "top1", "val_loss", "val_top1", "val_top5"):
        between_paths, between_seeds = benchmarks.seed_spread(found, column)
        assert between_paths < between_seeds, column
