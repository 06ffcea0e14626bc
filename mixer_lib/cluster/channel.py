"""Messages between the hosts of a run: one TCP connection from each to the chief, watched while they train.

A message is a line of JSON, then the bytes of the files that it names. No pickle is ever read.
"""

import contextlib
import json
import os
import queue
import sys
import threading

ALIVE_EVERY, SILENT_FOR = 10, 60  # seconds: a host that says nothing for so long is lost
GRACE = 20  # seconds for an engine to notice a loss by itself
LARGEST_LINE = 2**24


class HostLost(ConnectionError):
    """Another host ended, or can't be reached any more; finished epochs are kept."""


class Link:
    """One connection, to the host of that number; `receive` raises OSError or ValueError when it breaks."""

    def __init__(self, connection, host=None):
        self.connection, self.host, self.done = connection, host, threading.Event()
        self.file, self.sending = connection.makefile("rb"), threading.Lock()

    def send(self, message, files=None):
        files = files or {}
        line = json.dumps({**message, "sizes": {name: len(content) for name, content in files.items()}})
        with self.sending:
            self.connection.sendall(line.encode() + b"\n" + b"".join(files.values()))

    def receive(self, timeout):
        """The next message, a dict whose "files" holds the bytes of each file."""
        self.connection.settimeout(timeout)
        line = self.file.readline(LARGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection was closed")
        message = json.loads(line)
        sizes = message.pop("sizes")
        message["files"] = {name: self.file.read(size) for name, size in sizes.items()}
        if any(len(message["files"][name]) != size for name, size in sizes.items()):
            raise ConnectionError("the connection was closed")
        return message

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)
        self.connection.close()


class Channel:
    """The links of a host while it trains: its messages, and the first loss.

    `on_loss(reason)` is called in a thread of its own when a host is lost; what hasn't ended `grace` seconds later is
    stuck inside the engine, which Python can't interrupt, and is ended with the reason on stderr. `leave()` ends this
    host's part in the engine when the run is complete.
    """

    def __init__(self, cluster, links):
        self.cluster, self.links = cluster, links
        self.messages, self.lost, self.closed, self.reason = queue.Queue(), threading.Event(), threading.Event(), ""
        self.on_loss, self.leave, self.grace = lambda reason: None, lambda: None, GRACE
        for link in links:
            threading.Thread(target=self._watch, args=(link,), daemon=True).start()
        threading.Thread(target=self._say_alive, daemon=True).start()

    def send(self, message):
        """Send to all that this host is linked with; a link that is broken is told of by its watcher."""
        for link in self.links:
            with contextlib.suppress(OSError):
                link.send(message)

    def receive(self):
        """The next message; HostLost if there won't be one."""
        message = self.messages.get()
        if message is None:
            raise HostLost(self.reason)
        return message

    def finish(self):
        """Leave together: the chief last, since its engine serves the others."""
        if not self.cluster.is_chief:
            self.leave()
            self.send({"done": True})
        for link in self.links:
            while not link.done.wait(0.1):
                if self.lost.is_set() and not self.cluster.is_chief:
                    raise HostLost(self.reason)
                if self.lost.is_set():  # the run is complete
                    return
        if self.cluster.is_chief:
            self.leave()
            self.send({"done": True})

    def close(self):
        self.closed.set()
        for link in self.links:
            link.close()

    def _watch(self, link):
        name = self.cluster.name(link.host)
        try:
            while True:
                message = link.receive(SILENT_FOR)
                if "done" in message:
                    link.done.set()
                    return
                if "stopped" in message:
                    self._lose(f"{name} stopped: {message['stopped']}")
                    return
                if "alive" not in message:
                    self.messages.put(message)
        except TimeoutError:
            self._lose(f"{name} has been silent for {SILENT_FOR} s: it hangs, or the network is broken")
        except (OSError, ValueError) as error:
            self._lose(f"{name} was lost: its process ended, or the network broke ({error})")

    def _lose(self, reason):
        if self.closed.is_set() or self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        self.messages.put(None)
        self.on_loss(reason)
        if not self.closed.wait(self.grace):
            self.send({"stopped": reason})
            print(f"\nerror: {self.describe()}", file=sys.stderr, flush=True)
            os._exit(1)

    def describe(self):
        """The loss in a sentence, and what to do."""
        reason = self.reason[:1].upper() + self.reason[1:]
        return f"{reason}. Finished epochs are kept; the same command on every host continues from them."

    def _say_alive(self):
        while not self.closed.wait(ALIVE_EVERY):
            self.send({"alive": True})
