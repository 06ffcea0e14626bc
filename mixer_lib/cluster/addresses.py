"""Which hosts train together: read from TF_CONFIG (TensorFlow) or KERAS_DISTRIBUTION_* (JAX), as their engines do."""

import dataclasses
import json
import os

from .. import compat

KERAS_VARIABLES = tuple(f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The hosts of a run: their addresses, "host:port" ("" where unknown), and which one this is. Host 0 is the chief.

    `variable` names what they were read from. ValueError for an address without a port, or an impossible index.
    """

    addresses: tuple
    index: int
    variable: str

    def __post_init__(self):
        for address in filter(None, self.addresses):
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
                raise ValueError(f"{self.variable} must give host:port, such as 10.0.0.1:5000. Received: {address!r}.")
        if not 0 <= self.index < len(self.addresses):
            rule = f"a host's number from 0 to {len(self.addresses) - 1}"
            raise ValueError(f"{self.variable} must give {rule}. Received: {self.index}.")

    def __len__(self):
        return len(self.addresses)

    @property
    def is_chief(self):
        return self.index == 0

    def name(self, index):
        """A host as messages name it."""
        address = self.addresses[index]
        return f"host {index} ({address})" if address else f"host {index}"

    def endpoint(self, index):
        """(host, port) to connect to."""
        host, _, port = self.addresses[index].rpartition(":")
        return host.strip("[]"), int(port)


def find_cluster(environ=os.environ):
    """The `Cluster` that the environment describes, None for a single host; ValueError if it can't be used here."""
    found = {"TF_CONFIG": _from_tf_config(environ), "KERAS_DISTRIBUTION_*": _from_keras(environ)}
    backend = compat.backend_name()
    for variable, needed in (("TF_CONFIG", "tensorflow"), ("KERAS_DISTRIBUTION_*", "jax")):
        if found[variable] and (backend != needed or not compat.KERAS_3):
            way = f"Set KERAS_BACKEND={needed} (with Keras 3), or unset it to train on one host."
            raise ValueError(f"{variable} names {len(found[variable])} hosts, which needs Keras 3 on {needed}. {way}")
    return found["TF_CONFIG"] or found["KERAS_DISTRIBUTION_*"]


def _from_tf_config(environ):
    text = environ.get("TF_CONFIG", "").strip()
    try:
        given = json.loads(text or "{}")
        jobs, task = given.get("cluster") or {}, given.get("task") or {}
        chiefs, workers = (tuple(map(str, jobs.get(job, ()))) for job in ("chief", "worker"))
        if len(chiefs + workers) <= 1 and not jobs.get("ps"):
            return None
        kind, index = task["type"], int(task["index"])
        if kind not in ("chief", "worker") or jobs.get("ps"):
            raise ValueError("only chief and worker tasks train here")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"TF_CONFIG must look like {EXAMPLE}. Received: {text!r} ({error!r}).") from None
    if index < 0 or index >= len(chiefs if kind == "chief" else workers):
        raise ValueError(f"TF_CONFIG names no {kind} {index}. Received: {text!r}.")
    return Cluster(chiefs + workers, index + (len(chiefs) if kind == "worker" else 0), "TF_CONFIG")


def _from_keras(environ):
    addresses, count, index = (environ.get(name, "").strip() for name in KERAS_VARIABLES)
    addresses = tuple(address.strip() for address in addresses.split(",") if address.strip())
    try:
        count = int(count or len(addresses))
        index = int(index) if count > 1 else 0
    except ValueError as error:
        raise ValueError(f"{KERAS_VARIABLES[1]} and _PROCESS_ID must be whole numbers: {error}.") from None
    if count <= 1:
        return None
    if len(addresses) not in (1, count):
        rule = f"the chief's address, or all {count}"
        raise ValueError(f"{KERAS_VARIABLES[0]} must give {rule}, as host:port. Received: {','.join(addresses)!r}.")
    return Cluster(addresses + ("",) * (count - len(addresses)), index, "KERAS_DISTRIBUTION_*")
