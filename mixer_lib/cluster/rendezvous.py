"""Hosts find each other before any engine starts: TensorFlow's own wait names nobody and ignores SIGTERM."""

import contextlib
import os
import select
import socket
import sys
import time

from ..validation import positive_integer
from .channel import Link

START_TIMEOUT = 300  # seconds
PATIENCE_WITH_TROUBLE = 10  # seconds in which a host with an error of its own still looks for others to tell


def start_timeout(environ=os.environ):
    """Seconds to wait for all hosts: MIXER_START_TIMEOUT, or 300."""
    given = environ.get("MIXER_START_TIMEOUT") or START_TIMEOUT
    return positive_integer("MIXER_START_TIMEOUT", int(given) if str(given).isdecimal() else given)


def listen(cluster):
    """A socket at this host's own port; ValueError if another program has it."""
    port = cluster.endpoint(cluster.index)[1]
    try:
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):  # a kernel can have IPv6 switched off
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise ValueError(
            f"Port {port} of {cluster.name(cluster.index)} can't be opened ({error.strerror}): another program, or an "
            f"earlier run, has it. Stop that, or name another port in {cluster.variable} on every host."
        ) from None


class _Wait:
    """Time left, and one line on stderr that says for whom this host waits."""

    def __init__(self, seconds):
        self.end, self.said = time.monotonic() + seconds, False
        self.started = time.monotonic()

    def left(self):
        return self.end - time.monotonic()

    def say(self, names):
        if not self.said and time.monotonic() - self.started > 1:
            self.said = True
            print(f"waiting for {names} (at most {self.left():.0f} s more)", file=sys.stderr, flush=True)


def gather(cluster, server, seconds):
    """(links, hellos) by host: the chief's side. What is missing after so many seconds is not in it."""
    links, hellos, wait = {}, {}, _Wait(seconds)
    while len(links) < len(cluster) - 1 and wait.left() > 0:
        wait.say(", ".join(cluster.name(i) for i in range(1, len(cluster)) if i not in links))
        ready, _, _ = select.select([server, *(link.connection for link in links.values())], [], [], 0.5)
        for index in [index for index, link in links.items() if link.connection in ready]:
            links.pop(index).close()  # says nothing before it is answered: so it has ended
            hellos.pop(index)
        if server in ready:
            link = Link(server.accept()[0])
            try:
                hello = link.receive(5)
                index = hello["host"]
                if index in links or not 0 < index < len(cluster):
                    text = f"There are two of host {index}: give each host its own number in {cluster.variable}."
                    link.send({"refused": text})
                    raise ValueError(text)
            except (OSError, ValueError, KeyError, TypeError):  # not one of ours
                link.close()
                continue
            link.host = index
            links[index], hellos[index] = link, hello
    return links, hellos


def report(cluster, hello, seconds):
    """(link, the chief's answer): the side of every other host. TimeoutError names the chief if it doesn't come."""
    wait, chief = _Wait(seconds), cluster.name(0)
    while wait.left() > 0:
        wait.say(chief)
        try:
            link = Link(socket.create_connection(cluster.endpoint(0), timeout=min(5, max(0.1, wait.left()))), host=0)
        except OSError:
            time.sleep(0.3)  # between two attempts
            continue
        try:
            link.send(hello)
            return link, link.receive(seconds + 60)  # the chief waits for others, too, and answers in any case
        except (OSError, ValueError, KeyError, AttributeError):  # ended, or another program's port
            link.close()
            time.sleep(0.3)
    raise TimeoutError(
        f"{chief}, the chief, could not be reached within {seconds} s. Start the same command there, and see that "
        f"its port is open to this host (MIXER_START_TIMEOUT= gives it more seconds)."
    )
