"""A sweep from its file to its table."""

import json
import sys

from ..choices import load_data, with_share, without_test
from ..classifier import multiply_adds
from ..runs.provenance import cores
from .cost import estimate
from .engine import RayEngine
from .loop import Runs, locked, run_all
from .plan import read_plan
from .progress import Progress
from .search import TABLE, Search
from .table import as_table, groups, search_text


def sweep(file, folder=None, data=None, cpus=1, address=None, dry_run=False, as_json=False, make_engine=RayEngine):
    """Run what a file asks for and print its table; `plan.read_plan` says what it may ask for.

    Each run has `cpus` CPUs and threads. `address` is a Ray cluster's, on whose shared storage `folder` lies; None for
    this machine. `dry_run` lists the runs and what they cost. `make_engine` makes what runs the commands.
    Finished runs are taken from their cards, others go on from where they got to. ValueError for a wrong file, for a
    folder in use or with other runs, before Ray starts; SystemExit if runs failed; KeyboardInterrupt on Ctrl-C.
    """
    plan = read_plan(file, folder, data, absolute=bool(address))
    datasets = _load(plan.jobs)
    waiting = [job for job in plan.jobs if plan.ranges or not job.card(datasets[job])] * (plan.trials or 1)
    work = [_work(job, datasets[job]) for job in waiting]
    if dry_run:
        for job in plan.jobs:
            times = f"{plan.trials} times, with {', '.join(plan.ranges)}" if plan.ranges else "to do"
            print(f"{times if job in waiting else 'finished'}: {' '.join(job.words())}")
        print(estimate(work, plan.folder, cpus, max(1, cores() // cpus)))
        return
    with locked(plan.folder):
        runs = Search(plan) if plan.ranges else Runs(waiting)
        failed = _run(plan, runs, make_engine(cpus, address), waiting, work) if runs.left() else {}
        rows = runs.rows() if plan.ranges else groups({job: job.card(datasets[job]) for job in plan.jobs})
    print(json.dumps(rows, indent=2) if as_json else search_text(rows) if plan.ranges else as_table(rows))
    if plan.ranges:
        _say(f"All {len(rows)} trials with their commands: {plan.folder / TABLE}")
    if failed:
        count = f"{len(failed)} of {plan.trials or len(plan.jobs)} runs failed"
        raise SystemExit(f"error: {count}; the same command tries them again.")


def _load(jobs):
    """{job: Dataset}, each data set read once; ValueError if there is none."""
    read, found = {}, {}
    for job in jobs:
        key = job.dataset, job.data, job.image_size, job.share, job.test
        if key not in read:
            data = load_data(job.dataset, job.data or None, job.image_size, f"The model {job.model}")
            data = with_share(data, job.share)
            read[key] = data if job.test else without_test(data)
        found[job] = read[key]
    return found


def _work(job, dataset):
    """What an estimate needs: name of the data, multiply-adds, epochs of all of the data to do."""
    config, _ = job.config_for(dataset)
    return dataset.name.removesuffix("-validation"), multiply_adds(config), job.share * (job.epochs - len(job.rows()))


def _run(plan, runs, engine, waiting, work):
    """Start Ray and run all; returns {job: error} of those that failed."""
    total, left = plan.trials or len(plan.jobs), runs.left()
    kept = f", {total - left} of them finished" if left < total else ""
    _say(f"{total} runs in {plan.folder}{kept}. Ray starts ...")
    with engine:
        if engine.address:
            engine.check_storage(plan.folder)
        each = f"{engine.cpus} CPU{'s' if engine.cpus > 1 else ''}" + (" and a GPU" if engine.gpus else "")
        at_most = "; at most, since a search stops what falls behind" if plan.ranges else ""
        _say(f"{engine.slots} at once, each with {each}{at_most}.")
        _say(estimate(work[:left], plan.folder, engine.cpus, min(engine.slots, left)))
        progress = Progress(sum(job.epochs for job in waiting[:left]))
        try:
            return run_all(runs, engine, progress)
        except KeyboardInterrupt as stop:
            raise type(stop)(f"Stopped; {total - runs.left()} of {total} runs are finished.") from None
        finally:
            progress.close()


def _say(text):
    print(text, file=sys.stderr, flush=True)
