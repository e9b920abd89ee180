"""Chromium without a window, driven over the pipe of its DevTools protocol: a page as a reader sees it."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from waits import FAR, until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"]


class Chromium:
    """One tab. `events` holds what the protocol has told so far: console messages, errors, requests."""

    def __init__(self, profile, width=1400, height=900):
        self._in, its_out = os.pipe()
        its_in, self._out = os.pipe()
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        command = ["bash", "-c", f'exec "$@" 3<&{its_in} 4>&{its_out}', "bash", PROGRAM, *flags]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, pass_fds=[its_in, its_out], **quiet)
        os.close(its_in)
        os.close(its_out)
        self.events, self._asked, self._rest, self._tab = [], 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._tab = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Result of a command of the protocol."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params} | self._tab
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._asked:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "chromium has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        """Load a page, and wait until it is there."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script, **where):
        """Value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, **where)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script, **where):
        """Value of an expression, as soon as it is true."""
        return until(script, lambda: self.run(script, **where))

    def frame(self, sign):
        """Where `run` finds the frame in which an expression is true, as soon as there is one."""

        def found():
            self.run("0")  # reads what has been told in the meantime
            gone = {said["executionContextId"] for said in self.told("Runtime.executionContextDestroyed")}
            there = {said["context"]["id"] for said in self.told("Runtime.executionContextCreated")} - gone
            frames = ({"contextId": number} for number in sorted(there, reverse=True))
            return next((where for where in frames if self.run(sign, **where)), None)

        return until(sign, found)

    def told(self, method):
        """Parameters of all events of one kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def picture(self, path):
        """Write what the window shows as PNG."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        """End the browser."""
        self.process.terminate()
        self.process.wait(FAR)
        for end in (self._in, self._out):
            with contextlib.suppress(OSError):
                os.close(end)
