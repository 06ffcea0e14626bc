"""Downloading a file with pooch: it appears in its place only when it is complete and its checksum is right."""

import contextlib
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

SECONDS = 6  # for a host to answer, so that a missing network is reported within ten seconds


def fetch(url: str, known_hash: str, path: Path) -> None:
    """Download `url` to `path`, with a progress bar, unless a file with `known_hash` ("md5:...") is there already.

    The environment's proxies are used, certificates are verified. Errors: OSError for a failure of network, host or
    disk, ValueError if another file than the known one arrived.
    """
    import pooch

    download = pooch.HTTPDownloader(
        progressbar=True, chunk_size=2**16, timeout=(SECONDS, 30), hooks={"response": _refuse_web_page}
    )

    def download_if_reachable(url, part, _):
        call_within(SECONDS, pooch.HTTPDownloader(timeout=SECONDS), url, None, None, check_only=True)
        download(url, part, None)
        os.chmod(part, 0o644)  # pooch's temporary files are for their owner alone; a cache may be shared

    try:
        pooch.retrieve(url, known_hash, path.name, path.parent, downloader=download_if_reachable)
    except OSError as error:
        if error.errno or isinstance(error, PermissionError):  # of the disk: network errors of requests have no errno
            raise OSError(
                f"{path} cannot be written ({error.strerror or error}): free some space or allow writing there, or set "
                "KERAS_HOME to a folder on another disk"
            ) from error
        cause = error
        while cause.__context__:  # the first cause says it best: host not found, refused, bad certificate
            cause = cause.__context__
        raise ConnectionError(f"{url}{_describe_proxy(url)}: {cause}") from error


def is_reachable(host: str, seconds: float = 3) -> bool:
    """Whether the network knows `host`, a host name, asked for no longer than `seconds`."""
    with contextlib.suppress(OSError):
        return bool(call_within(seconds, socket.getaddrinfo, host, 443))
    return False


def call_within(seconds: float, call, *args, **options):
    """`call(*args, **options)` in a thread, or TimeoutError: no socket timeout covers a silent name server."""
    outcome = []

    def run():
        try:
            outcome.append((call(*args, **options), None))
        except Exception as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    result, error = outcome[0] if outcome else (None, TimeoutError(f"no answer within {seconds} seconds"))
    if error:
        raise error
    return result


def _refuse_web_page(answer, **_) -> None:
    """A hook of requests, called with every answer before its body is read."""
    answer.raise_for_status()
    if "text/html" in answer.headers.get("content-type", "") and not answer.is_redirect:
        raise ConnectionError(f"a web page came instead, from {answer.url}: must you sign in to the network?")
    answer.raw.headers.pop("content-encoding", None)  # some hosts declare it, and requests would decompress the archive


def _describe_proxy(url: str) -> str:
    """The environment's proxy for `url`, in words and without its password; empty if there is none."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = not proxy_bypass(parts.hostname) and (proxies.get(parts.scheme) or proxies.get("all"))
    return f" (through the proxy {urlsplit(proxy).netloc.rpartition('@')[2] or proxy})" if proxy else ""
