"""Ray: a cluster that is named, or a local one for as long as a sweep lasts, closed to the network."""

import contextlib
import logging
import os
import pathlib
import secrets
import signal
import tempfile

from ..runs.interrupts import Terminated
from ..runs.provenance import cores, limit_threads
from ..version import VERSION
from . import worker

RETRIES = 3  # of a run whose worker or process is killed
STORE = 100_000_000  # bytes of Ray's object store, which a sweep does not use: about the least that Ray takes
PASSED_ON = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "MIXER_DATA")  # of this process's variables, to a cluster's
PATIENCE = 60  # seconds for runs to end when they are told to


def import_ray(local):
    """The module, told before its import how a `local` one is closed to others; ImportError says how to install it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if local:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's word for "bind to 127.0.0.1", on any system
        os.environ.setdefault("RAY_worker_niceness", "0")  # not 15: a run has the priority that the sweep has
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError:
        raise ImportError("A sweep needs Ray: pip install ray (Python 3.12 or newer).") from None
    return ray


class RayEngine:
    """Runs commands as Ray tasks, `slots` at once: `submit`, then `finished` again and again; `cancel`, `stop`.

    Args:
        cpus: CPUs, and threads, of each run; where there are GPUs, each run also has one of them.
        address: of a cluster; None starts a local Ray.

    ValueError if a run asks for more CPUs than there are.
    """

    def __init__(self, cpus=1, address=None):
        self.cpus, self.gpus, self.address, self.slots, self.running = cpus, 0, address, 0, {}
        if not address and cpus > cores():
            raise ValueError(f"--cpus-per-run={cpus}, and there are {cores()}. Name at most that many.")
        self.ray, self.closing = import_ray(local=not address), contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            options = {"address": self.address}
            if not self.address:  # its files go with it; a socket's path has at most about 100 letters
                short = "/tmp" if os.path.isdir("/tmp") else None
                files = tempfile.TemporaryDirectory(prefix="ray-", dir=short, ignore_cleanup_errors=True)
                options = {"address": "local", "num_cpus": cores(), "_temp_dir": stack.enter_context(files)}
                options |= {"include_dashboard": False, "object_store_memory": STORE}
            stack.callback(self.ray.shutdown)
            self.ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
            usual = signal.signal(signal.SIGTERM, _terminate)  # Ray's own would end the process at once
            stack.callback(signal.signal, signal.SIGTERM, usual)
            self._count_places([node["Resources"] for node in self.ray.nodes() if node["Alive"]])
            self.closing = stack.pop_all()
        return self

    def _count_places(self, nodes):
        """How many runs fit at once, by what each node has."""
        self.gpus = 1 if any(node.get("GPU") for node in nodes) else 0
        for node in nodes:
            by_cpu = int(node.get("CPU", 0) // self.cpus)
            self.slots += min(by_cpu, int(node.get("GPU", 0))) if self.gpus else by_cpu
        if not self.slots:
            raise ValueError(f"--cpus-per-run={self.cpus} is more than any node of {self.address} has. Name fewer.")

    def __exit__(self, *error):
        self.closing.__exit__(*error)

    def variables(self):
        """The environment of a run beside that of its worker."""
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        if not self.address:  # this library, wherever it lies
            root = str(pathlib.Path(__file__).resolve().parents[2])
            passed["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        return {**limit_threads(self.cpus), **passed}

    def submit(self, words):
        """Start a command; returns what stands for it."""
        self.ray.cloudpickle.register_pickle_by_value(worker)
        again = {"max_retries": RETRIES, "retry_exceptions": [ChildProcessError]}
        task = self.ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, **again)(worker.run_command)
        reference = task.remote(words, self.variables(), os.getcwd())
        self.running[reference] = words
        return reference

    def finished(self, timeout):
        """What has ended within `timeout` seconds: a list of (what `submit` returned, error or "", warnings)."""
        ended, _ = self.ray.wait(list(self.running), num_returns=1, timeout=timeout)
        return [(reference, *self._outcome(reference)) for reference in ended]

    def _outcome(self, reference):
        del self.running[reference]
        try:
            code, said = self.ray.get(reference)
        except self.ray.exceptions.TaskCancelledError:
            return "stopped", []
        except self.ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]
            return f"Ray gave up on it ({last})", []
        warned = [line for line in said if line.startswith("warning: ")]
        return said[-1].removeprefix("error: ") if code else "", warned

    def cancel(self, reference):
        """Let a run end: it drops its current epoch and keeps those before."""
        self.ray.cancel(reference)

    def stop(self):
        """Let all runs end so, and wait until they have."""
        if left := list(self.running):
            for reference in left:
                self.cancel(reference)
            self.ray.wait(left, num_returns=len(left), timeout=PATIENCE)
        self.running.clear()

    def check_storage(self, folder):
        """ValueError unless every node of a cluster sees what is written in `folder`, and has this mixer_lib."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray.cloudpickle.register_pickle_by_value(worker)
        token, file = secrets.token_hex(8), pathlib.Path(folder).absolute() / ".storage-token"
        file.write_text(token, encoding="utf-8")
        try:
            for node in [one for one in self.ray.nodes() if one["Alive"] and one["Resources"].get("CPU")]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = self.ray.remote(num_cpus=0, scheduling_strategy=there)(worker.look_at)
                seen, version = self.ray.get(task.remote(str(file), os.getcwd()))
                name = f"The node {node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
                if seen != token:
                    raise ValueError(f"{name} does not see {folder}. Name a --folder on storage that all nodes share.")
                if version != VERSION:
                    raise ValueError(f"{name} has mixer_lib {version}, and here it is {VERSION}. Install that there.")
        finally:
            file.unlink(missing_ok=True)


def _terminate(*_):
    raise Terminated
