"""A search by successive halving: Optuna draws the values and stops what falls behind on validation loss."""

import csv
import dataclasses
import json
import shlex

from ..choices import choose, write_value
from ..runs.files import atomic_write
from .loop import finished_text

REDUCTION = 3  # of the runs that have come so far, one in three goes on
NAME, LOG, TABLE = "search", "search.log", "trials.csv"


def import_optuna():
    """The module, quiet; ImportError that says how to install it."""
    try:
        import optuna
    except ImportError:
        raise ImportError("A search needs Optuna: pip install optuna (Python 3.12 or newer).") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Search:
    """The trials of a plan, kept in its folder: `next`, `watch` and `ended` as in `loop.Runs`, `rows` at the end.

    A trial that was cut off goes on with the values and the run folder that it had. ValueError if the folder holds a
    search for something else.
    """

    def __init__(self, plan):
        self.optuna, self.plan, (self.job,) = import_optuna(), plan, plan.jobs
        journal = self.optuna.storages.journal
        storage = self.optuna.storages.JournalStorage(journal.JournalFileBackend(str(plan.folder / LOG)))
        pruner = self.optuna.pruners.SuccessiveHalvingPruner(plan.min_epochs, REDUCTION)
        self.study = self.optuna.create_study(
            study_name=NAME, storage=storage, pruner=pruner, direction="minimize", load_if_exists=True
        )
        words = [word for word in self.job.words() if not word.startswith(("--run-dir=", "--data="))]
        asked = json.dumps([words, plan.ranges, plan.min_epochs])
        if self.study.user_attrs.get("asked", asked) != asked:
            raise ValueError(f"{plan.folder} holds a search for something else. Name another --folder, or remove it.")
        self.study.set_user_attr("asked", asked)
        self.trials, self.cut_off = {}, self._in_state("RUNNING")

    def _in_state(self, *names):
        return self.study.get_trials(deepcopy=False, states=[self.optuna.trial.TrialState[name] for name in names])

    def left(self):
        """How many trials are not over."""
        return max(0, self.plan.trials - len(self._in_state("COMPLETE", "PRUNED", "FAIL")))

    def job_of(self, number, params):
        """The run of a trial."""
        group, changes = f"trial{number:03}", dict(self.job.changes)
        changes |= {field: params[field] for field in self.plan.ranges if field in params}
        return dataclasses.replace(self.job, group=group, changes=changes, folder=self.plan.folder / group)

    def next(self):
        """A job: first the trials that were cut off, then new ones; None when there are enough."""
        while trial := self._next_trial():
            params = {field: _draw(trial, field, given) for field, given in self.plan.ranges.items()}
            job = self.job_of(trial.number, params)
            try:
                choose(job.model, job.recipe, job.changes)
            except ValueError as error:  # values that do not go together
                self._tell(trial, "FAIL", str(error))
            else:
                self.trials[job] = trial
                return job
        return None

    def _next_trial(self):
        number = len(self.study.get_trials(deepcopy=False))
        if self.left() <= len(self.trials):  # those at work
            return None
        if self.cut_off:  # what it has drawn, it keeps
            return self.optuna.trial.Trial(self.study, self.cut_off.pop(0)._trial_id)
        if number >= self.plan.trials:
            return None
        # seeded by its number: a search that goes on doesn't draw what it drew when it began
        self.study.sampler = self.optuna.samplers.TPESampler(seed=number)
        return self.study.ask()

    def watch(self, job, rows):
        """Report what is new of a run, and say whether it has fallen behind."""
        trial = self.trials[job]
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        for row in [] if frozen.state.is_finished() else rows[len(frozen.intermediate_values) :]:
            trial.report(float(row["val_loss"]), int(row["epoch"]))
            if len(rows) < job.epochs and trial.should_prune():
                self._tell(trial, "PRUNED")
                return True
        return False

    def ended(self, job, error):
        """(what to say of a run that has ended, whether it failed); a trial that diverged is over, as a result is."""
        trial, rows = self.trials.pop(job), job.rows()
        if self.study.get_trials(deepcopy=False)[trial.number].state.name == "PRUNED":
            return f"fell behind and was stopped after {len(rows)} epochs", False
        if error and "diverged" not in error:  # no disk, no memory: left for the next time
            return f"failed: {error}", True
        loss = min((float(row["val_loss"]) for row in rows), default=None)
        self._tell(trial, "FAIL" if error else "COMPLETE", error, loss)
        return f"diverged: {error}" if error else finished_text(rows), False

    def _tell(self, trial, state, reason="", value=None):
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, value if state == "COMPLETE" else None, state=self.optuna.trial.TrialState[state])
        self.write_table()

    def rows(self):
        """A row for each trial, the best first: state, epochs, figures of the best epoch, values, command."""
        found = []
        for frozen in self.study.get_trials(deepcopy=False):
            job = self.job_of(frozen.number, frozen.params)
            epochs = job.rows()
            best = min(epochs, key=lambda row: float(row["val_loss"]), default={})
            row = {"trial": job.group, "state": frozen.state.name.lower(), "epochs": len(epochs)}
            row |= {name: float(best[name]) if best else None for name in ("val_loss", "val_top1", "val_top5")}
            row["seconds"] = round(sum(float(epoch["seconds"]) for epoch in epochs), 1)
            row |= {field: write_value(frozen.params[field]) for field in self.plan.ranges if field in frozen.params}
            found.append({**row, "command": shlex.join(["python", "-m", "mixer_lib", *job.words()])})
        states = ["complete", "pruned", "running", "fail"]
        return sorted(found, key=lambda row: (states.index(row["state"]), row["val_loss"] or 0))

    def write_table(self):
        """Write trials.csv."""
        rows = self.rows()
        with atomic_write(self.plan.folder / TABLE) as part, open(part, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


def _draw(trial, field, given):
    """A value of a list of choices or of a range (low, high, logarithmic)."""
    if isinstance(given, list):
        return trial.suggest_categorical(field, given)
    low, high, log = given
    draw = trial.suggest_int if isinstance(low, int) and isinstance(high, int) else trial.suggest_float
    return draw(field, low, high, log=log)
