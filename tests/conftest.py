"""What every test shares: scopes for parallel runs, the list of expected skips, what is built once for a whole run."""

import os
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
EXPECTED_SKIPS = Path(__file__).parent / "expected_skips.txt"

# A reader's own settings must not decide what the tests see; the place of the data may.
for _name in ("PROFILE", "DATASET", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION", "DEVICES"):
    os.environ.pop(f"MIXER_{_name}", None)

# A shell starts what it puts into the background deaf to Ctrl-C, and programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def scope_of(nodeid):
    """What stays on one worker: a test file, so that its fixtures are built once; of test_notebooks.py, what shares a
    kernel."""
    file, _, test = nodeid.partition("::")
    if not file.endswith("test_notebooks.py"):
        return file
    from tools.chapters.notebooks import takes_long

    return f"{file}, long: {takes_long(test.partition('[')[2].rstrip(']'))}"


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


def begins_early(item):
    """For sorting: what takes long begins first, so that the workers end together.

    That is the chapters which train and measure, then the other chapters, then test files, the larger the earlier.
    """
    chapter = item.callspec.params.get("path") if hasattr(item, "callspec") else None
    if item.path.name == "test_notebooks.py" and chapter:
        from tools.chapters.notebooks import takes_long

        return (0 if takes_long(chapter.stem) else 1), 0, item.path.name
    return 2, -item.path.stat().st_size, item.path.name


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


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """build(name, function): a folder that `function` fills, once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def build(name, function):
        folder = base / name
        with FileLock(base / f"{name}.lock"):
            if not (base / f"{name}.done").exists():
                shutil.rmtree(folder, ignore_errors=True)
                function(folder)
                (base / f"{name}.done").touch()
        return folder

    return build


@pytest.fixture(scope="session")
def html(built_once):
    """Folder of the rendered book, built strictly."""
    from tools.render.html import stage_book, strict_build

    def build(folder):
        stage_book(folder)
        done = strict_build(folder)
        assert done.returncode == 0, done.stdout[-5000:]

    return built_once("book", build) / "_build" / "html"


@pytest.fixture(scope="session")
def kaggle_folders(built_once):
    """What `make kaggle OWNER=someone` makes, of a book without an address."""
    from tools.hosting import kaggle

    def build(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kaggle, "repository_url", lambda: "")
            kaggle.make_folders(folder, owner="someone")

    return built_once("kaggle", build)


@pytest.fixture(scope="session")
def wheel(kaggle_folders):
    """mixer_lib's wheel, as the bundle has it."""
    return next(kaggle_folders.glob("bundle/mixer_lib-*.whl"))


@pytest.fixture(scope="module")  # Playwright's event loop is the thread's as long as it is open
def chromium():
    """The system's Chromium or Chrome, driven by Playwright; skips the test where there is none."""
    from tools.render.pdf import find_browser

    path = find_browser()
    if path is None:
        pytest.skip("no browser here")
    from playwright.sync_api import sync_playwright

    options = ["--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files"]
    with sync_playwright() as playwright:
        sandbox = os.getuid() != 0  # Chromium has none for root
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page of its own in the browser: see Playwright's `Page`. `page.errors` and `page.requests` are what it met."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.errors, page.requests = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: page.requests.append(request.url))
    yield page
    context.close()
