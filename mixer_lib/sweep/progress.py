"""What a sweep shows while it goes on: a line for each run, and one for all with the time left."""

import sys
import time

from tqdm import tqdm


class Progress:
    """On a terminal a bar for each run at work and one for all; else a line where a run begins and ends. On stderr.

    `epochs` is how many all runs have at most.
    """

    def __init__(self, epochs):
        self.epochs, self.done, self.first = epochs, 0, 0
        self.began, self.live = time.monotonic(), sys.stderr.isatty()
        self.of_run, self.bars = {}, {}
        self.total = self._bar("all runs", epochs, 0, 0)

    def _bar(self, name, total, done, place):
        shape = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} epochs, {remaining} left{postfix}"
        options = {"bar_format": shape, "dynamic_ncols": True, "leave": False, "disable": not self.live}
        return tqdm(desc=name, total=total, initial=done, position=place, **options)

    def begin(self, job, done):
        """A run begins, or goes on after `done` epochs."""
        self.of_run[job] = done
        self._count(done)
        self.first += done  # they took no time of this sweep's
        place = next(place for place in range(1, len(self.bars) + 2) if place not in [p for p, _ in self.bars.values()])
        self.bars[job] = place, self._bar(f"  {job.folder.name}", job.epochs, done, place)
        if not self.live:
            self.say(f"{job.folder.name}: goes on after {done} epochs" if done else f"{job.folder.name}: begins")

    def update(self, job, rows):
        """A run has these finished epochs."""
        new = len(rows) - self.of_run[job]
        if new:
            self.of_run[job] += new
            self._count(new)
            self.bars[job][1].set_postfix_str(f"validation top-1 {float(rows[-1]['val_top1']):.2%}", refresh=False)
            self.bars[job][1].update(new)

    def end(self, job, text):
        """A run has ended, perhaps after fewer epochs than were asked for."""
        self.bars.pop(job)[1].close()
        self.epochs -= job.epochs - self.of_run[job]
        self.total.total = self.epochs
        self.say(f"{job.folder.name}: {text} [{self.done} of {self.epochs} epochs{self._time_left()}]")

    def say(self, text):
        """A line that stays."""
        tqdm.write(text, file=sys.stderr)

    def close(self):
        """Leave the terminal as it was."""
        for _, bar in self.bars.values():
            bar.close()
        self.total.close()

    def _count(self, epochs):
        self.done += epochs
        self.total.update(epochs)

    def _time_left(self):
        left, here = self.epochs - self.done, self.done - self.first
        if not (left and here):
            return ""
        return f", {tqdm.format_interval(left * (time.monotonic() - self.began) / here)} left"
