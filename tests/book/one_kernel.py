"""A plugin for nbval: all notebooks of a run share one kernel, which forgets every name in between.

Most of the time that a chapter takes on small data is the start of a kernel and the import of TensorFlow.
"""

from nbval import plugin
from nbval.kernel import RunningKernel

FORGET = """
get_ipython().run_line_magic("reset", "-f")
__import__("keras").backend.clear_session()
"""
running = []


class StrictKernel(RunningKernel):
    """A kernel in which a magic that fails is an error: IPython only prints it, and nbval takes that for a success."""

    def get_message(self, *arguments, **options):
        message = super().get_message(*arguments, **options)
        if message["content"].get("ename") == "UsageError":
            raise RuntimeError(message["content"]["evalue"])
        return message


def shared_kernel(name, **options):
    """The running kernel, or a new one in place of one that died."""
    if not running or not running[-1].is_alive():
        running.append(StrictKernel(name, **options))
    return running[-1]


def forget_names(file):
    """What nbval does at a notebook's end, in place of stopping the kernel."""
    if file.kernel is not None and file.kernel.is_alive():
        request = file.kernel.execute_cell_input(FORGET)
        file.kernel.await_reply(request, timeout=60)
        file.kernel.await_idle(request, timeout=60)


def pytest_configure():
    plugin.RunningKernel, plugin.IPyNbFile.teardown = shared_kernel, forget_names


def pytest_unconfigure():
    if running and running[-1].is_alive():
        running[-1].stop()
