"""What every test shares: scopes for parallel runs, the list of expected skips, paths."""

import os
import re
import signal
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXPECTED_SKIPS = Path(__file__).parent / "expected_skips.txt"

# A reader's own settings must not decide what the tests see; the place of the data may.
for _name in ("PROFILE", "DATASET", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION"):
    os.environ.pop(f"MIXER_{_name}", None)

# A shell starts what it puts into the background deaf to Ctrl-C, and programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def scope_of(nodeid):
    """What stays on one worker: a test file, so that its fixtures are built once; of test_notebooks.py, a chapter."""
    file, _, test = nodeid.partition("::")
    return file + test[test.find("[") :] if file.endswith("test_notebooks.py") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Not xdist's own groups: they hang on a test's name, and pytest 9 no longer lets a plugin change it."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope_of(nodeid)

    return ByScope(config, log)


def pytest_collection_modifyitems(config, items):
    """Where several workers share the tests, what takes long begins first."""
    if hasattr(config, "workerinput"):
        items.sort(key=begins_early)


def chapter_of(item):
    """Name of the chapter that a test of test_notebooks.py is about; empty elsewhere."""
    return item.callspec.params["path"].stem if item.path.name == "test_notebooks.py" else ""


def begins_early(item):
    """For sorting: what takes long begins first, so that the workers end together.

    That is the chapters which train and measure; then test files, the larger the earlier; the other chapters fill up.
    """
    chapter = chapter_of(item)
    rank = 1 if not chapter else 0 if "training" in chapter or "cost" in chapter else 2
    return rank, -item.path.stat().st_size, item.path.name, chapter


def expected_reasons(path=EXPECTED_SKIPS):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def unexpected_skips(reasons, patterns):
    """The reasons that no pattern matches."""
    return [reason for reason in reasons if not any(re.match(pattern, reason) for pattern in patterns)]


def skip_reasons(reports):
    """Reasons of skipped reports, without pytest's prefix."""
    texts = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    return [text.removeprefix("Skipped: ") for text in texts]


def pytest_sessionfinish(session):
    """With MIXER_STRICT_SKIPS set (.ci/run does), a skip that is not on the list fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("MIXER_STRICT_SKIPS") or reporter is None or hasattr(session.config, "workerinput"):
        return
    wrong = unexpected_skips(skip_reasons(reporter.stats.get("skipped", [])), expected_reasons())
    if wrong:
        reporter.write_line("")
        for reason in sorted(set(wrong)):
            reporter.write_line(f"unexpected skip: {reason} (expected ones: tests/expected_skips.txt)", red=True)
        session.exitstatus = 1


@pytest.fixture(scope="session")
def root():
    """The repository's root."""
    return ROOT
