"""A small driver for Chromium over its DevTools protocol, for tests of the rendered book."""

import asyncio
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tornado.websocket import websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser():
    """Path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One headless Chromium. Use as a context manager; `visit` loads a page and says what happened."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="browser-")
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]
        options += [
            "--disable-background-networking",
            "--remote-debugging-port=0",
            f"--user-data-dir={self.profile}",
        ]
        options += ["--allow-file-access-from-files", "about:blank"]
        self.process = subprocess.Popen([self.path, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = Path(self.profile) / "DevToolsActivePort"
        for _ in range(300):
            if port_file.is_file() and len(port_file.read_text().splitlines()) == 2:
                break
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.path} ended at once with {self.process.returncode}")
            time.sleep(0.1)
        port, target = port_file.read_text().splitlines()
        self.address = f"ws://127.0.0.1:{port}{target}"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        shutil.rmtree(self.profile, ignore_errors=True)

    def visit(self, url, width=1280, height=900, script="null", dark=False, seconds=90):
        """Load `url`; {"errors": [...], "requests": [...], "result": what `script` then evaluates to, "seconds": ...}.

        "seconds" is what the page's own thread computed until it was loaded: other work on the machine does not count.
        With `dark` the system asks for dark colours, as a reader's would.
        """
        return asyncio.run(asyncio.wait_for(self._visit(url, width, height, script, dark), timeout=seconds))

    async def _visit(self, url, width, height, script, dark):
        socket = await websocket_connect(self.address, max_message_size=50_000_000)
        numbers, errors, requests, loaded = itertools.count(1), [], [], asyncio.Event()
        answers = {}

        async def listen():
            while (message := await socket.read_message()) is not None:
                data = json.loads(message)
                if "id" in data:
                    answers.pop(data["id"]).set_result(data)
                    continue
                params, method = data.get("params", {}), data.get("method")
                if method == "Page.loadEventFired":
                    loaded.set()
                elif method == "Network.requestWillBeSent":
                    requests.append(params["request"]["url"])
                elif method == "Runtime.exceptionThrown":
                    errors.append(json.dumps(params["exceptionDetails"])[:500])
                elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
                    errors.append(json.dumps(params["args"])[:500])
                elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                    errors.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))

        async def call(method, session=None, **params):
            number = next(numbers)
            waiting = answers[number] = asyncio.get_running_loop().create_future()
            extra = {"sessionId": session} if session else {}
            await socket.write_message(json.dumps({"id": number, "method": method, "params": params, **extra}))
            answer = await waiting
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

        listener = asyncio.ensure_future(listen())
        target = (await call("Target.createTarget", url="about:blank"))["targetId"]
        session = (await call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await call(f"{domain}.enable", session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await call("Emulation.setDeviceMetricsOverride", session, **size)
        await call("Performance.enable", session, timeDomain="threadTicks")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await call("Emulation.setEmulatedMedia", session, features=[scheme])
        await call("Page.navigate", session, url=url)
        await loaded.wait()
        metrics = (await call("Performance.getMetrics", session))["metrics"]
        spent = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
        # MathJax typesets after the load event
        ready = "Promise.race([window.MathJax?.startup?.promise, new Promise(done => setTimeout(done, 5000))])"
        await call("Runtime.evaluate", session, expression=ready, awaitPromise=True)
        await asyncio.sleep(0.3)
        value = await call("Runtime.evaluate", session, expression=script, returnByValue=True, awaitPromise=True)
        await call("Target.closeTarget", targetId=target)
        listener.cancel()
        socket.close()
        if "exceptionDetails" in value:  # the script itself went wrong, not the page
            raise RuntimeError(json.dumps(value["exceptionDetails"])[:500])
        return {"errors": errors, "requests": requests, "result": value["result"].get("value"), "seconds": spent}
