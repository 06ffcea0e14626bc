"""A published file from its host: gone on with where it broke off, in its place only when it is whole."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .trusted_files import LARGEST_FILE, checked

SECONDS_TO_ANSWER = 6  # of a download's host, so that a missing network is told within ten seconds
CHUNK = 2**16  # bytes; so many are lost when a connection breaks off
TRIES = 3  # in one call, when a connection breaks off


def download(url: str, published_sum: str, target: Path) -> None:
    """Fetch `url` with a progress bar; `target` appears only when complete and with the published sum.

    What has arrived waits in <target>.part, and the next call goes on from there where the host can (HTTP
    Range). A second process waits for the first and takes its file.
    Errors: OSError when network, host or disk fail, ValueError when something else than the file was sent.
    """
    with _alone(target.with_name(f"{target.name}.part")) as part:
        if _is_whole(target, published_sum):
            os.unlink(part.name)
            return
        try:
            _fetch(url, published_sum, part)
            os.replace(part.name, target)
        except BaseException:
            if not part.seek(0, os.SEEK_END):  # nothing has arrived that could be gone on with
                os.unlink(part.name)
            raise


def _fetch(url: str, published_sum: str, part) -> None:
    import requests

    for tries_left in reversed(range(TRIES)):
        begun_at = part.seek(0, os.SEEK_END)
        try:
            _append(url, part, _answer(url, begun_at))
            checked(Path(part.name), published_sum)
            return
        except requests.RequestException as error:  # the connection broke: what has arrived is good
            if not tries_left:
                raise ConnectionError(
                    f"{url} broke off {TRIES} times: {error}. {part.tell():,} bytes are kept in {part.name}: the same "
                    "call goes on from there"
                ) from error
        except ValueError:  # not the published file; a part of another one may be the reason: begin anew, once
            part.truncate(0)
            if not begun_at or not tries_left:
                raise


def _append(url: str, part, answer) -> None:
    """Write what the host sends behind what is there, or in its place when the host begins anew."""
    from tqdm import tqdm

    if answer.status_code == 416:  # nothing is left to send
        return answer.close()
    if answer.status_code != 206:
        part.truncate(0)
    answer.raw.headers.pop("content-encoding", None)  # some hosts declare it; an archive stays as it is
    have = part.seek(0, os.SEEK_END)
    total = have + int(answer.headers.get("content-length", 0)) or None
    bar = tqdm(desc=Path(part.name).stem, total=total, initial=have, unit="B", unit_scale=True)
    with answer, bar:
        for chunk in answer.iter_content(CHUNK):
            _write(part, chunk)
            if part.tell() > LARGEST_FILE:
                raise ValueError(f"{url} sends more than {LARGEST_FILE:,} bytes: that is not the published file")
            bar.update(len(chunk))


def _write(part, chunk: bytes) -> None:
    try:
        while chunk:  # a disk that is nearly full takes some of it
            chunk = chunk[part.write(chunk) :]
    except OSError as error:
        part.truncate(0)  # half a file on a full disk helps nobody
        raise OSError(
            f"{part.name} could not be written ({error.strerror}): make room on that disk, or let KERAS_HOME name a "
            "folder on another one"
        ) from error


def _answer(url: str, begin_at: int = 0):
    """A host's open answer, or ConnectionError within SECONDS_TO_ANSWER.

    Asked in a thread, because no timeout of `requests` covers a name server that never answers.
    """
    import requests

    outcome = {"error": f"no answer within {SECONDS_TO_ANSWER} seconds"}
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin_at}-"} if begin_at else {})

    def ask():
        try:
            outcome["answer"] = requests.get(url, stream=True, timeout=(SECONDS_TO_ANSWER, 30), headers=headers)
        except requests.RequestException as error:
            while error.__context__:  # the first cause says it best: no such host, refused, bad certificate
                error = error.__context__
            outcome["error"] = error

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS_TO_ANSWER)
    answer = outcome.get("answer")
    if answer is None:
        raise ConnectionError(f"{url}{_by_proxy(url)}: {outcome['error']}")
    if answer.status_code == 416:  # asked to go on behind the end
        return answer
    if not answer.ok:
        raise ConnectionError(f"{url}{_by_proxy(url)}: the host answered {answer.status_code} {answer.reason}")
    if "text/html" in answer.headers.get("content-type", ""):
        raise ConnectionError(
            f"{url}: a web page came in its place, from {answer.url}: must you sign in to the network?"
        )
    return answer


def _by_proxy(url: str) -> str:
    """Words that name the proxy of the environment, without its password; empty without one."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    return f" (through the proxy {urlsplit(proxy).netloc.rpartition('@')[2] or proxy})" if proxy else ""


def _is_whole(path: Path, published_sum: str) -> bool:
    try:
        checked(path, published_sum)
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def _alone(path: Path) -> Iterator:
    """The file, open for appending, for one process at a time; the others wait."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise OSError(
                f"the cache {path.parent} cannot be written ({error.strerror}): let KERAS_HOME name a folder that can"
            ) from error
        with file:
            _lock(file)
            try:
                ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:  # whoever had it has finished: it has its last name now
                ours = False
            if ours:
                yield file
                return


def _lock(file) -> None:
    try:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process downloads {file.name}: waiting for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):  # no locks on this system or disk: the sum still tells a spoilt file
        pass
