"""The file of a sweep: which runs it makes, and what is wrong with it, by line; nothing is started."""

import sys

import pytest

from mixer_lib.sweep import plan as plan_module
from mixer_lib.sweep.plan import read_plan

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="only where Python has tomllib")


@pytest.fixture
def read(tmp_path, monkeypatch):
    """read(text, **options): the plan of a file `many.toml` with this text."""
    monkeypatch.chdir(tmp_path)

    def read(text, **options):
        (tmp_path / "many.toml").write_text(text)
        return read_plan("many.toml", **options)

    return read


def names(plan):
    return [job.folder.name for job in plan.jobs]


def test_the_runs_are_the_product_of_models_recipes_fields_and_seeds(read):
    plan = read(
        'models = ["article", "gmlp"]\nrecipes = ["article", "article-plus"]\nseeds = [3, 4]\nepochs = 7\n'
        "[set]\nlearning_rate = [0.01, 0.02]\nshift = 1"
    )
    assert len(plan.jobs) == 2 * 2 * 2 * 2 and len({job.folder for job in plan.jobs}) == 16
    assert names(plan)[:2] == [f"article-article-learning_rate=0.01-shift=1-seed{seed}" for seed in (3, 4)]
    last = plan.jobs[-1]
    assert (last.model, last.recipe, last.seed, last.epochs) == ("gmlp", "article-plus", 4, 7)
    assert last.changes == {"learning_rate": 0.02, "shift": 1} and last.dataset == "cifar100"
    assert str(last.folder.parent) == "runs/many"
    assert len({job.group for job in plan.jobs}) == 8  # seeds share a group


def test_a_list_of_runs_takes_from_above_what_it_leaves_out(read):
    plan = read(
        'dataset = "digits"\nepochs = 3\nset = { zoom = 0.0 }\n'
        '[[runs]]\nseeds = [0, 1]\n[[runs]]\nname = "wide"\nmodels = "gmlp"\nepochs = 5\n'
        'set = { stop_patience = "none", hidden_dim = [8, 16] }'
    )
    assert names(plan) == ["article-zoom=0.0-seed0", "article-zoom=0.0-seed1"] + [
        f"wide-hidden_dim={width}-seed0"
        for width in (8, 16)  # a name, and what varies
    ]
    assert [job.epochs for job in plan.jobs] == [3, 3, 5, 5]
    assert plan.jobs[2].changes == {"zoom": 0.0, "stop_patience": None, "hidden_dim": 8}


def test_folder_and_data_of_the_command_come_before_those_of_the_file(read):
    text = 'folder = "here"\ndata = "old"'
    assert (str(read(text).folder), read(text).jobs[0].data) == ("here", "old")
    plan = read(text, folder="there", data="new")
    assert (str(plan.jobs[0].folder), plan.jobs[0].data) == ("there/article-seed0", "new")


def test_each_run_is_one_train_that_says_all_it_needs(read):
    (job,) = read('name = "a b"\nrecipes = "article-plus"\nset = { mirror = false, stop_patience = "none" }').jobs
    assert job.words() == [
        "train", "--preset=article", "--recipe=article-plus", "--set=mirror=false", "--set=stop_patience=none",
        "--dataset=cifar100", "--epochs=100", "--seed=0", "--name=a b", "--run-dir=runs/many/a b-seed0",
    ]  # fmt: skip


def test_a_run_may_have_a_share_of_the_data_and_leave_the_test_set_unseen(read):
    plan = read("share = 0.1\ntest = false\nepochs = 9\n[[runs]]\n[[runs]]\nshare = 1\ntest = true")
    assert names(plan) == ["article-share=0.1-seed0", "article-seed0"]
    assert plan.jobs[0].words()[3:7] == ["--epochs=9", "--seed=0", "--share=0.1", "--no-test"]
    assert not [word for word in plan.jobs[1].words() if "test" in word or "share" in word]


def test_several_shares_are_a_factor_and_part_of_the_groups_names(read):
    assert names(read('share = [1.0, 0.1]\nname = "half"')) == ["half-seed0", "half-share=0.1-seed0"]
    assert names(read('share = 0.1\nname = "tenth"')) == ["tenth-seed0"]
    assert [job.share for job in read("share = [0.5, 0.1]\nseeds = [0, 1]").jobs] == [0.5, 0.5, 0.1, 0.1]


def test_a_search_has_ranges_and_choices_and_never_the_test_set(read):
    plan = read(
        'search = "halving"\ntrials = 5\nmin_epochs = 2\n[set]\ndropout = [0.1, 0.2]\nzoom = 0.1\n'
        "learning_rate = { low = 0.001, high = 0.1, log = true }"
    )
    assert plan.ranges == {"dropout": [0.1, 0.2], "learning_rate": (0.001, 0.1, True)}
    assert (plan.trials, plan.min_epochs, plan.jobs[0].changes) == (5, 2, {"zoom": 0.1})
    assert "--no-test" in plan.jobs[0].words()


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ('dataset = "digits"\nmodles = "article"', 2, ("'modles' is unknown", "models")),
        ('models = "artikel"', 1, ("no model 'artikel'", "article-plus", "gmlp")),
        ('\nmodels = ["gmlp", "x"]', 2, ("no model 'x'",)),
        ('# recipes = 5\nrecipes = "slow"', 2, ("no recipe 'slow'",)),
        ("seeds = []", 1, ("seeds is empty", "nothing to run")),
        ("epochs = 3\nseeds = [0, 1, 0]", 2, ("seeds holds a value twice",)),
        ('seeds = "0"', 1, ("seeds must be a whole number", "'0'")),
        ("seeds = true", 1, ("seeds must be a whole number",)),
        ("seeds = -1", 1, ("seed must be a whole number from 0", "-1")),
        ("epochs = 0", 1, ("epochs must be a whole number of at least 1",)),
        ("[set]\nzoom = 0.1\ndepth = 3", 3, ("no field 'depth'", "num_blocks", "learning_rate")),
        ("[set]\nshift = []", 2, ("shift is empty",)),
        ("[set]\nzoom = 0.1\n\nlearning_rate = [0.1, -1]", 4, ("learning_rate must be above 0", "-1")),
        ('set = { schedule = "linear" }', 1, ('schedule must be "plateau" or "cosine"', "'linear'")),
        ('seeds = 1\n[[runs]]\nseeds = 1\n\n[[runs]]\nname = "b"\nseed = 2', 7, ("'seed' is unknown", "seeds")),
        ("epochs = 2.5\n[[runs]]\nseeds = 1", 1, ("epochs must be a whole number", "2.5")),
        ("[[runs]]\nseeds = [0, 1]\n[[runs]]\nseeds = [1, 2]", 3, ("two runs have the folder", "article-seed1")),
        ('[[runs]]\nname = "a"\n[[runs]]\nname = "b"\n[runs.set]\nhidden_dim = "wide"', 6, ("hidden_dim", "'wide'")),
        ("seeds = 1\nshare = 1.5", 2, ("share must be a fraction", "1.5")),
        ('share = "all"', 1, ("share must be a number such as 0.1", "'all'")),
        ('test = "no"', 1, ("test must be true or false", "'no'")),
        ("runs = 4", 1, ("runs must be tables [[runs]]",)),
        ("runs = [3]", 1, ("runs must be tables [[runs]]", "3")),
        ('search = "grid"', 1, ('search must be "halving"', "'grid'")),
        ('search = "halving"', 1, ("a search needs a range", "low")),
        ('search = "halving"\n[set]\nshift = { low = 4, high = 2 }', 3, ("shift must be a range", "low below high")),
        ('search = "halving"\n[set]\nshift = { low = 0, high = 2, log = true }', 3, ("above 0 with log",)),
        ('search = "halving"\n[set]\nshift = [2]', 3, ("shift needs two choices",)),
        ('search = "halving"\n[set]\ndropout = { low = 0.1, high = 1.5 }', 3, ("dropout must be a fraction", "1.5")),
        ('search = "halving"\nseeds = [0, 1]\nset = { shift = [1, 2] }', 2, ("a search has one of seeds",)),
        ("share = [0.1, 1.5]", 1, ("share must be a fraction", "1.5")),
        ("share = [0.1, 0.1]", 1, ("share holds a value twice", "0.1")),
        ('search = "halving"\nshare = [0.1, 1.0]\nset = { shift = [1, 2] }', 2, ("a search has one of share",)),
        ('search = "halving"\ntrials = 0\nset = { shift = [1, 2] }', 2, ("trials must be", "0")),
        ('search = "halving"\nset = { shift = [1, 2] }\n[[runs]]\nseeds = 1', 3, ("a search has no [[runs]]",)),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(read, text, line, parts):
    with pytest.raises(ValueError) as refused:
        read(text)
    message = str(refused.value)
    assert message.startswith(f"many.toml, line {line}: ") and "\n" not in message, message
    assert all(part in message for part in parts), message


def test_what_is_no_toml_is_refused_with_the_line_and_an_example(read):
    with pytest.raises(ValueError, match=r"^many.toml: .*line 2.*sweeps/small.toml"):
        read("epochs = 3\nseeds = [0,,]")


def test_a_python_without_tomllib_is_told_in_one_sentence(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    with pytest.raises(ImportError, match="Python 3.11 or newer. Use make sweep PYTHON=3.13"):
        read("seeds = 1")


def test_what_the_project_has_is_read(root):
    for file in sorted((root / "sweeps").glob("*.toml")):
        plan = plan_module.read_plan(file)
        assert plan.jobs and plan.folder.name == file.stem
