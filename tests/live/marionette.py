"""Firefox as readers have it, driven through its own remote control, Marionette.

Drivers (geckodriver, Playwright's build) turn the strict policy for files off, under which a page opened from disk may
read nothing beside it. Here an ordinary profile keeps it on.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

PREFERENCES = """
user_pref("remote.prefs.recommended", false);
user_pref("marionette.port", 0);
user_pref("security.fileuri.strict_origin_policy", true);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


def find_firefox():
    """Path of a Firefox, or None; MIXER_FIREFOX names another."""
    found = map(shutil.which, filter(None, (os.environ.get("MIXER_FIREFOX"), "firefox", "firefox-esr")))
    return next((path for path in found if path), None)


class Firefox:
    """A session: `open(address)`, `run(script)`, which may be async and returns what the script returns."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=90)
        self.count, self.rest = 0, b""
        self._receive()
        self._send("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {}}})

    def _receive(self):
        while True:
            head, colon, rest = self.rest.partition(b":")
            if colon and len(rest) >= int(head):
                self.rest = rest[int(head) :]
                return json.loads(rest[: int(head)])
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("Firefox closed the connection")
            self.rest += chunk

    def _send(self, name, parameters):
        self.count += 1
        text = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(f"{len(text)}:".encode() + text)
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result

    def open(self, address):
        self._send("WebDriver:Navigate", {"url": address})

    def run(self, script):
        body = f"const done = arguments[0]; (async () => {{ {script} }})().then(done, e => done('error: ' + e));"
        parameters = {"script": body, "args": [], "sandbox": None, "newSandbox": False}
        return self._send("WebDriver:ExecuteAsyncScript", parameters)["value"]

    def choose_file(self, selector, path):
        element = self._send("WebDriver:FindElement", {"using": "css selector", "value": selector})["value"]
        self._send("WebDriver:ElementSendKeys", {"id": next(iter(element.values())), "text": str(path)})


@contextlib.contextmanager
def firefox(profile: Path):
    """A headless Firefox with an ordinary profile in the folder `profile`."""
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES)
    command = [find_firefox(), "--headless", "--no-remote", "--marionette", "--profile", str(profile)]
    # Firefox refuses to start for root in a home that is not root's
    environment = {**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with open(profile / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        yield Firefox(port_of(profile, process))
    finally:
        process.terminate()
        process.wait(30)


def port_of(profile, process, patience=90):
    """The port that Firefox chose: it writes it into its profile."""
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None:
        for name in ("MarionetteActivePort", "prefs.js"):
            file = profile / name
            text = file.read_text() if file.is_file() else ""
            match = re.fullmatch(r"(\d+)\s*", text) or re.search(r'"marionette.port", (\d+)', text)
            if match and int(match[1]):
                return int(match[1])
        time.sleep(0.1)
    raise RuntimeError(f"Firefox did not start: {(profile / 'log').read_text()[-2000:]}")
