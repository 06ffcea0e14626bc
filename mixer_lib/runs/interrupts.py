"""Ctrl-C and SIGTERM during a run: a clean stop that keeps every finished epoch."""

import contextlib
import signal
import threading


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM); handled as Ctrl-C is."""


@contextlib.contextmanager
def graceful_interrupt(state, epochs):
    """Let SIGTERM end a run as Ctrl-C does: drop the current epoch, release the folder, say how to continue.

    Yields a function to call after each step: an exception that a signal handler raises can be lost in a destructor.
    """
    received = []

    def terminate(*_):
        received.append(Terminated)

    def interrupt(*arguments):
        received.append(KeyboardInterrupt)
        signal.default_int_handler(*arguments)

    def stop_if_requested():
        if received:
            raise received[0]

    # only the main thread may set signal handlers; a program that has handlers of its own keeps them
    usual = ((signal.SIGTERM, signal.SIG_DFL, terminate), (signal.SIGINT, signal.default_int_handler, interrupt))
    in_main = threading.current_thread() is threading.main_thread()
    ours = [(number, handler) for number, default, handler in usual if in_main and signal.getsignal(number) == default]
    before = [(number, signal.signal(number, handler)) for number, handler in ours]
    try:
        yield stop_if_requested
        stop_if_requested()
    except KeyboardInterrupt as stop:
        raise type(stop)(
            f"Stopped; {state.saved} of {epochs} epochs are finished and kept in {state.folder.path}. The same call "
            f"continues from there."
        ) from None
    finally:
        for number, handler in before:
            signal.signal(number, handler)
