"""The loop of a sweep: as many runs at once as fit, each watched by its history until it ends."""

import contextlib

import filelock

from ..runs.folder import acquired


@contextlib.contextmanager
def locked(folder):
    """Keep every other sweep out of a folder; ValueError if one is there."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".sweep.lock")
    if not acquired(lock):
        raise ValueError(
            f"{folder} is in use by another sweep. Wait for it or stop it, then the same command continues; or name "
            f"another --folder."
        )
    try:
        yield
    finally:
        lock.release()


class Runs:
    """All jobs, each once: where they come from, and what becomes of them. A search has its own (`search.Search`)."""

    def __init__(self, jobs):
        self.jobs, self.upcoming, self.finished = jobs, iter(jobs), 0

    def left(self):
        """How many are not finished."""
        return len(self.jobs) - self.finished

    def next(self):
        """The next job, or None."""
        return next(self.upcoming, None)

    def watch(self, job, rows):
        """Whether a run is to be stopped, by its finished epochs."""
        return False

    def ended(self, job, error):
        """(what to say of a run that has ended with an error or "", whether it failed)."""
        if error:
            return f"failed: {error}", True
        self.finished += 1
        return finished_text(job.rows()), False


def run_all(runs, engine, progress):
    """Run the jobs of `runs` on an engine; returns {job: error} of those that failed.

    On KeyboardInterrupt all runs are stopped, each with its finished epochs kept, before it goes on its way.
    """
    at_work, failed = {}, {}
    try:
        while True:
            while len(at_work) < engine.slots and (job := runs.next()):
                at_work[engine.submit(job.words())] = job
                progress.begin(job, len(job.rows()))
            if not at_work:
                return failed
            ended = engine.finished(timeout=0.5)
            for reference, job in at_work.items():
                rows = job.rows()
                progress.update(job, rows)
                if reference not in [one for one, _, _ in ended] and runs.watch(job, rows):
                    engine.cancel(reference)
            for reference, error, warnings in ended:
                job = at_work.pop(reference)
                for warning in warnings:
                    progress.say(f"{job.folder.name}: {warning}")
                text, wrong = runs.ended(job, error)
                if wrong:
                    failed[job] = error
                progress.end(job, text)
    except KeyboardInterrupt:
        progress.say("Stopping: each run drops its current epoch and keeps those before ...")
        engine.stop()
        raise


def finished_text(rows):
    """How a finished run did, in words."""
    best = min(rows, key=lambda row: float(row["val_loss"]))
    return f"{len(rows)} epochs, validation top-1 {float(best['val_top1']):.2%}"
