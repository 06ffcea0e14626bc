"""Downloads: complete and right or not there at all, and every failure reported by its cause."""

import contextlib
import http.server
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pooch
import pytest
from ordinary import without_root_rights
from small_cifar import ARCHIVE, FILES, ONLY_DATASETS, isolate, md5, sha256, source_of, write

from mixer_lib.datasets import download
from mixer_lib.datasets.download import fetch, is_reachable
from mixer_lib.datasets.locate import find_files
from mixer_lib.datasets.sources import MNIST

NAME = "cifar-100-python.tar.gz"
HASH = sha256(ARCHIVE)


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def host(monkeypatch):
    """A web server on this machine; `host.pages` maps paths to (headers, body), and holds the archive.

    While `host.gate` is cleared, it sends half of a body and waits; it breaks off in the middle if `host.breaks`.
    """
    monkeypatch.setattr(download, "SECONDS", 60)  # a busy machine is not a silent host

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.server.checked.append(self.path)
            if self.server.knows_head:
                self.answer()
            else:
                self.send_error(405)

        def do_GET(self):
            self.server.asked.append(self.path)
            body = self.answer()
            self.wfile.write(body[: len(body) // 2])
            self.server.sent.release()
            self.server.gate.wait(60)
            if not self.server.breaks:
                self.wfile.write(body[len(body) // 2 :])

        def answer(self):
            if self.path not in self.server.pages:
                self.send_error(404)
                return b""
            headers, body = self.server.pages[self.path]
            self.send_response(302 if "Location" in headers else 200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            return body

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.breaks = {f"/{NAME}": ({}, ARCHIVE)}, False
    server.knows_head, server.checked, server.asked = True, [], []  # paths of HEAD and of GET
    server.sent, server.gate = threading.Semaphore(0), threading.Event()
    server.gate.set()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(host):
    """The small CIFAR-100, published on this machine's web server."""
    return source_of(url=f"{host.url}/{NAME}")


@pytest.fixture
def target(tmp_path):
    """Where `find_files` lets it be downloaded to."""
    return tmp_path / "keras" / "datasets" / NAME


def cache_files(tmp_path):
    return sorted(path.name for path in (tmp_path / "keras").rglob("*") if path.is_file())


# What arrives


def test_data_are_downloaded_once_with_progress(host, source, tmp_path, capfd, monkeypatch):
    for handler in pooch.get_logger().handlers:  # writes to what was stderr when pooch was imported
        monkeypatch.setattr(handler, "stream", sys.stderr)
    assert find_files(source) == FILES
    told = capfd.readouterr().err
    assert source.url in told and "100%" in told
    assert find_files(source) == FILES  # from the cache
    assert host.asked == [f"/{NAME}"]
    assert cache_files(tmp_path) == [NAME]


def test_a_cache_of_single_files_is_completed_and_repaired(host, tmp_path):
    files = {name: name.encode() for name in MNIST.files}
    source = source_of(files, like=MNIST, url=f"{host.url}/mnist/")
    host.pages.update({f"/mnist/{name}": ({}, content) for name, content in files.items()})
    right, broken, *absent = files
    write(tmp_path / "keras" / "datasets" / "mnist", {right: files[right], broken: b"broken"})
    assert find_files(source) == find_files(source) == files
    assert host.asked == [f"/mnist/{name}" for name in (broken, *absent)]


def test_a_broken_cache_is_repaired(host, source, tmp_path):
    cache = tmp_path / "keras" / "datasets"
    write(cache / "cifar-100-python", {**FILES, "test": b"broken"})
    write(cache, {NAME: ARCHIVE[:-1]})
    assert find_files(source) == find_files(source) == FILES
    assert host.asked == [f"/{NAME}"]


@pytest.mark.parametrize("known_hash", [HASH, md5(ARCHIVE)], ids=["sha256", "md5"])
def test_an_archive_stays_packed_though_its_host_declares_it_compressed(host, source, target, known_hash):
    host.pages[f"/{NAME}"] = ({"Content-Encoding": "x-gzip"}, ARCHIVE)
    fetch(source.url, known_hash, target)
    assert target.read_bytes() == ARCHIVE


def test_a_redirect_to_the_file_is_followed_whatever_page_comes_with_it(host, source, target):
    host.pages["/moved"] = ({"Location": f"/{NAME}", "Content-Type": "text/html"}, b"<html>Moved</html>")
    fetch(f"{host.url}/moved", HASH, target)
    assert target.read_bytes() == ARCHIVE


def test_a_host_that_does_not_know_head_requests_is_asked_all_the_same(host, source, target):
    host.knows_head = False
    fetch(source.url, HASH, target)
    assert target.read_bytes() == ARCHIVE


# What is refused, and leaves nothing behind

BAD_ANSWERS = {
    "another file": ({}, b"else", "does not match the known hash"),
    "half of the archive": ({}, ARCHIVE[: len(ARCHIVE) // 2], "does not match the known hash"),
    "a web page": ({"Content-Type": "text/html; charset=utf-8"}, b"Sign in", "a web page came instead"),
    "a redirect to a page": ({"Location": "/sign-in"}, b"", "a web page came instead, from http.*/sign-in"),
    "a redirect to nowhere": ({"Location": "/nowhere"}, b"", "404"),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_a_bad_download_leaves_nothing_in_the_cache(host, source, tmp_path, bad):
    headers, body, reason = BAD_ANSWERS[bad]
    host.pages["/sign-in"] = ({"Content-Type": "text/html"}, b"<html>Sign in to the network</html>")
    host.pages[f"/{NAME}"] = (headers, body)
    with pytest.raises(FileNotFoundError, match=reason):
        find_files(source)
    assert cache_files(tmp_path) == []
    host.pages[f"/{NAME}"] = ({}, ARCHIVE)
    assert find_files(source) == FILES


def test_a_bad_download_does_not_replace_what_the_cache_holds(host, source, target):
    write(target.parent, {NAME: b"the old one"})
    host.pages[f"/{NAME}"] = ({}, b"a bad one")
    with pytest.raises(ValueError, match="does not match the known hash"):
        fetch(source.url, HASH, target)
    assert target.read_bytes() == b"the old one"


def test_a_connection_that_breaks_off_is_reported_and_leaves_nothing(host, source, tmp_path):
    host.breaks = True
    with pytest.raises(FileNotFoundError, match=r"download failed \(http.*(IncompleteRead|hash)"):
        find_files(source)
    assert cache_files(tmp_path) == []


# Processes and disks


@pytest.fixture
def start(source, target):
    """Starts a process that downloads the archive into the cache."""
    started = []

    def begin(**options):
        program = "from pathlib import Path; from mixer_lib.datasets.download import fetch\n"
        program += f"try: fetch({source.url!r}, {HASH!r}, Path({str(target)!r}))\n"
        program += "except OSError as error: sys.exit(str(error))"
        command = [sys.executable, "-c", ONLY_DATASETS + program]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_what_a_killed_download_left_is_not_taken_for_the_file(host, start, source, target):
    host.gate.clear()
    process = start()
    assert host.sent.acquire(timeout=60)
    process.kill()
    process.wait()
    assert not target.exists()
    host.gate.set()
    assert find_files(source) == FILES
    assert target.read_bytes() == ARCHIVE


def test_a_second_download_at_the_same_time_leaves_the_file_complete(host, source, target):
    host.gate.clear()
    both = [threading.Thread(target=fetch, args=(source.url, HASH, target)) for _ in range(2)]
    for thread in both:
        thread.start()
    for _ in both:
        assert host.sent.acquire(timeout=60)
    host.gate.set()
    for thread in both:
        thread.join(60)
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == ARCHIVE
    assert target.stat().st_mode & 0o444 == 0o444  # a cache may be shared


@contextlib.contextmanager
def room_for(size):
    """Let no file of this process grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_reported_and_nothing_is_left_on_it(source, target, capfd):
    with room_for(10_000), pytest.raises(OSError, match="free some space.*KERAS_HOME") as told:
        fetch(source.url, HASH, target)
    assert f"{target} cannot be written (File too large)" in str(told.value)
    assert list(target.parent.iterdir()) == []


def test_a_cache_that_is_not_a_folder_is_reported_before_the_host_is_asked(host, source, target):
    target.parent.parent.write_bytes(b"a file")
    with pytest.raises(OSError, match="cannot be written .*allow writing there, or set KERAS_HOME"):
        fetch(source.url, HASH, target)
    assert host.checked == host.asked == []


@pytest.mark.parametrize("read_only", ["the cache", "its parent"])
def test_a_read_only_cache_is_reported_before_the_host_is_asked(host, start, target, read_only):
    target.parent.mkdir(parents=True)
    (target.parent if read_only == "the cache" else target.parent.parent).chmod(0o555)
    if read_only == "its parent":
        target.parent.rmdir()
    process = start(preexec_fn=without_root_rights)
    assert process.wait(60) == 1
    told = process.stderr.read()
    assert "Permission denied" in told
    assert "allow writing there, or set KERAS_HOME" in told
    assert host.checked == host.asked == []


# The network


@pytest.fixture
def silent():
    """Address of a port on this machine that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed():
    """Address of a port on this machine that takes no connections; nobody else can take it meanwhile."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


def silent_name_server(*_, **__):
    time.sleep(30)
    raise socket.gaierror("no answer")


def test_a_refused_connection_is_reported_by_its_cause(closed, target):
    with pytest.raises(ConnectionError, match=r"^http://127.*/: .*refused$"):
        fetch(f"http://{closed}/", HASH, target)


@pytest.mark.parametrize("who", ["host", "name server"])
def test_a_silent_host_or_name_server_is_given_up_on(monkeypatch, silent, tmp_path, who):
    assert download.SECONDS <= 8  # which leaves time to start, within ten seconds
    monkeypatch.setattr(download, "SECONDS", 0.2)
    url = f"http://{silent}/"
    if who == "name server":
        url = "http://no-such-host.invalid/"
        monkeypatch.setattr(socket, "getaddrinfo", silent_name_server)
    begun = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"no answer within 0.2 seconds|timed out"):
        find_files(source_of(url=url))
    assert time.monotonic() - begun < 25  # silence lasts 30 seconds
    assert cache_files(tmp_path) == []


def test_a_host_is_reachable_if_its_name_is_known_in_time(monkeypatch):
    assert is_reachable("localhost", 60)
    monkeypatch.setattr(socket, "getaddrinfo", silent_name_server)
    assert not is_reachable("slow.invalid", 0.1)

    def unknown(*_):
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert not is_reachable("no-such-name.invalid", 60)


def test_a_proxy_of_the_environment_is_used(host, monkeypatch, target):
    url = f"http://data.invalid/{NAME}"
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", host.url)
    host.pages[url] = ({}, ARCHIVE)  # a proxy is asked by the whole address
    fetch(url, HASH, target)
    assert target.read_bytes() == ARCHIVE
    assert host.asked == [url]


@pytest.mark.parametrize("proxy", ["closed", "silent"])
def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(request, monkeypatch, target, proxy):
    address = request.getfixturevalue(proxy)
    monkeypatch.setattr(download, "SECONDS", 0.2 if proxy == "silent" else 60)
    monkeypatch.setenv("HTTPS_PROXY", f"http://someone:secret@{address}")
    begun = time.monotonic()
    with pytest.raises(
        ConnectionError, match=rf"\(through the proxy {address}\): .*(refused|no answer|timed out)"
    ) as told:
        fetch("https://data.invalid/", HASH, target)
    assert time.monotonic() - begun < 25  # silence lasts 30 seconds
    assert "secret" not in str(told.value)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here to make certificates with")


@pytest.fixture
def certified(host, tmp_path, monkeypatch):
    """Let the web server speak TLS, with a certificate for a name, which this machine trusts or not; its address."""

    def speak(name, trusted):
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
        command += ["-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        host.socket = context.wrap_socket(host.socket, server_side=True)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        if trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        return f"{host.url.replace('http://', 'https://')}/{NAME}"

    return speak


@needs_openssl
def test_a_host_with_a_valid_certificate_is_trusted(host, certified, target):
    fetch(certified("IP:127.0.0.1", trusted=True), HASH, target)
    assert host.asked == [f"/{NAME}"]


@needs_openssl
@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [("IP:127.0.0.1", False, "self.signed certificate"), ("DNS:elsewhere.example", True, "not valid for '127.0.0.1'")],
    ids=["self-signed", "another host's"],
)
def test_a_host_with_a_bad_certificate_is_refused_before_anything_is_asked_of_it(
    host, certified, target, name, trusted, why
):
    with pytest.raises(ConnectionError, match=f"certificate verify failed: .*{why}"):
        fetch(certified(name, trusted), HASH, target)
    assert host.checked == host.asked == [] and list(target.parent.iterdir()) == []
