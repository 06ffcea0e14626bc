"""A run that several hosts share: one folder, the chief's; the others train on copies of what it holds."""

import contextlib
import hashlib
import json
import pathlib
import tempfile

from ..runs.checkpoint import completed_card, read_checkpoint
from ..runs.files import sha256_of
from ..runs.folder import FILES, RunFolder
from ..runs.provenance import versions
from .channel import Channel, HostLost
from .rendezvous import PATIENCE_WITH_TROUBLE, gather, listen, report, start_timeout


class ChiefFolder(RunFolder):
    """The run's folder on the chief, which tells the others how each epoch came out."""

    channel, completed = None, False

    def agree(self, row):
        self.channel.send({"row": row})
        return row


class FollowerFolder(RunFolder):
    """What other hosts have in its place: a temporary folder with copies of the chief's files. Nothing is kept."""

    channel, completed = None, False

    def agree(self, row):
        """The chief's row in place of this host's, whose validation loss can differ in the last bits."""
        found = self.channel.receive()["row"]
        if found["epoch"] != row["epoch"]:
            raise HostLost(f"this host has finished epoch {row['epoch']} and the chief epoch {found['epoch']}")
        return found

    def write(self, name, content):
        pass


def source_digest():
    """12 hex digits that stand for the source of this library."""
    digest, root = hashlib.sha256(), pathlib.Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def describe_checkpoint(folder):
    """Which checkpoint a run folder holds, in words that differ when the files do; ValueError if it is damaged."""
    file = folder.path / "checkpoint.npz"
    if not file.exists():
        return "none"
    state, _ = read_checkpoint(file, only=[])
    return f"one of {len(state['history'])} epochs (SHA-256 {sha256_of(file)[:12]})"


def first_difference(cluster, index, theirs, ours):
    """Why a host can't train with the chief, or None; both have said the same things of themselves."""
    name, chief = cluster.name(index), cluster.name(0)
    if theirs["trouble"]:
        return f"{name} can't train: {theirs['trouble']}"
    for what in ("cluster", "versions", "identity"):
        for key in {**ours[what], **theirs[what]}:
            here, there = ours[what].get(key), theirs[what].get(key)
            if here != there:
                kind = "version" if what == "versions" else "value"
                return (
                    f"{name} has another {kind} of {key} than {chief}: {there!r}, not {here!r}. Give every host the "
                    f"same command, packages and data"
                )
    if theirs["epochs"] != ours["epochs"]:
        return f"{name} has epochs = {theirs['epochs']}, and {chief} has {ours['epochs']}. Give both the same command"
    if theirs["checkpoint"] not in ("none", ours["checkpoint"]):
        return (
            f"{name} holds another checkpoint than {chief}: {theirs['checkpoint']}, not {ours['checkpoint']}. Let the "
            f"host with the right one be host 0, or move the other's run folder away"
        )
    return None


def _introduce(cluster, folder, identity, epochs):
    """What a host says of itself, with the error that keeps it from training, if any."""
    said = {"host": cluster.index, "cluster": {"hosts": list(cluster.addresses)}, "epochs": epochs, "trouble": ""}
    said |= {"versions": {**versions(), "mixer_lib": source_digest()}, "identity": identity, "checkpoint": "none"}
    try:
        said["checkpoint"] = describe_checkpoint(folder)
        if cluster.is_chief:
            folder.completed = completed_card(folder, identity, epochs) is not None
            folder.check_writable()
        elif cluster.addresses[cluster.index]:
            listen(cluster).close()
    except (ValueError, OSError) as error:
        said["trouble"] = str(error)
    return json.loads(json.dumps(said))  # as the others read it


def _lead(cluster, folder, said, seconds):
    """Wait for all hosts and answer them; returns the links. ValueError or TimeoutError, on all, if not all fit."""
    with listen(cluster) as server:
        links, hellos = gather(cluster, server, seconds)
    missing = [cluster.name(index) for index in range(1, len(cluster)) if index not in links]
    found = [first_difference(cluster, index, hello, said) for index, hello in sorted(hellos.items())]
    refusal = said["trouble"] or next(filter(None, found), "")
    if missing and not refusal:
        refusal = (
            f"{' and '.join(missing)} did not start within {seconds} s. Start the same command there, and see that "
            f"{cluster.name(0)} can be reached from there (MIXER_START_TIMEOUT= gives it more seconds)"
        )
    names = FILES if folder.completed else ("checkpoint.npz",)
    files = [] if refusal else [folder.path / name for name in names if (folder.path / name).exists()]
    files = {path.name: path.read_bytes() for path in files}
    by_chief = f"{cluster.name(0)} can't train: {refusal}" if said["trouble"] else refusal
    for link in links.values():
        with contextlib.suppress(OSError):  # one that has ended is noticed later
            link.connection.settimeout(None)
            link.send({"refused": by_chief, "completed": folder.completed}, files)
    if refusal:
        for link in links.values():
            link.close()
        raise (TimeoutError if missing and not said["trouble"] and not any(found) else ValueError)(f"{refusal}.")
    return list(links.values())


def _follow(cluster, folder, said, seconds):
    """Report to the chief and take over its files; returns the link."""
    link, answer = report(cluster, said, seconds)
    if answer["refused"]:
        link.close()
        raise ValueError(f"{said['trouble'] or answer['refused']}.".replace("..", "."))
    folder.completed = answer["completed"]
    for name, content in answer["files"].items():
        if name in FILES:
            (folder.path / name).write_bytes(content)
    return [link]


@contextlib.contextmanager
def shared_run(cluster, run_dir, identity, epochs):
    """The run's folder on this host, once all hosts are there and agree on version, identity, epochs and checkpoint.

    `folder.channel` links the hosts within the block. ValueError or TimeoutError names the host that is missing or
    does not fit; HostLost one that was lost in between. Whatever ends the block here is told to the others.
    """
    own = ChiefFolder(run_dir)
    said = _introduce(cluster, own, identity, epochs)
    seconds = min(PATIENCE_WITH_TROUBLE, start_timeout()) if said["trouble"] else start_timeout()
    with contextlib.ExitStack() as stack:
        if cluster.is_chief:
            folder, links = own, _lead(cluster, own, said, seconds)
        else:
            folder = FollowerFolder(stack.enter_context(tempfile.TemporaryDirectory(prefix="mixer-")))
            links = _follow(cluster, folder, said, seconds)
        folder.channel = channel = Channel(cluster, links)
        stack.callback(channel.close)
        try:
            yield folder
            channel.finish()
        except KeyboardInterrupt as stop:
            channel.send({"stopped": "by Ctrl-C or SIGTERM"})
            raise type(stop)(str(stop).replace(str(folder.path), f"{run_dir} on {cluster.name(0)}")) from None
        except Exception as error:
            ours = isinstance(error, (ValueError, OSError, FloatingPointError)) and not isinstance(error, HostLost)
            if isinstance(error, HostLost) or channel.lost.wait(1 if ours else 5):  # an engine's error, of any type
                channel.reason = channel.reason or str(error)
                channel.send({"stopped": channel.reason})
                raise HostLost(channel.describe()) from None
            channel.send({"stopped": f"{type(error).__name__}: {error}"})
            raise
