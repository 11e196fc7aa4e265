"""A real headless Chromium, spoken to through its remote-debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
NOWHERE = "--proxy-server=127.0.0.1:9"  # the discard port: whatever is asked from a network fails


class Browser:
    """One tab of a browser that has no network."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        (read_here, write_there), (read_there, write_here) = map(_high, os.pipe()), map(_high, os.pipe())
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", NOWHERE, "--proxy-bypass-list=<-loopback>", "about:blank",
        ]  # fmt: skip
        # The browser reads from descriptor 3 and writes to 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{read_there} 4>&{write_there}', "bash", *command]
        self._process = subprocess.Popen(
            shell, pass_fds=(read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_there), os.close(write_there)
        self._out, self._in, self._unread = write_here, read_here, b""
        self._number, self._session = 0, None
        self.requests: list[str] = []
        self.errors: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol, and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(
        self,
        path: Path,
        address: str = "",
        size: tuple[int, int] = (1280, 800),
        dark: bool = False,
        touch: bool = False,
    ) -> None:
        """Load a file anew, and wait until its script has run."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=2 if touch else 1,
            mobile=touch,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")  # else another address of the same page would not load it anew
        self.requests.clear(), self.errors.clear()
        self.call("Page.navigate", url=path.resolve().as_uri() + address)
        self.wait('document.readyState === "complete" && Object.keys(document.documentElement.dataset).length')

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait, at most ten seconds, until an expression is true and what it changed has been drawn."""
        self.run(
            f"""new Promise((done, failed) => {{
              const started = performance.now();
              const look = () => ({condition}) ? requestAnimationFrame(() => requestAnimationFrame(() => done(true)))
                : performance.now() - started > 10000 ? failed(new Error("waited in vain")) : setTimeout(look, 10);
              look();
            }})"""
        )

    def state(self) -> dict[str, str]:
        """What the page says about itself."""
        self.wait("true")
        return self.run("({...document.documentElement.dataset})")

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def middle(self, selector: str) -> tuple[float, float]:
        box = self.run(
            f"(b => [b.x, b.y, b.width, b.height])(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return box[0] + box[2] / 2, box[1] + box[3] / 2

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'nearest'}})")
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, selector: str | None = None) -> np.ndarray:
        """Red, green and blue ``[height, width, 3]`` from 0 to 1 of the page, or of one element."""
        clip = {}
        if selector is not None:
            box = self.run(
                f"(b => [b.x, b.y, b.width, b.height])(document.querySelector({selector!r}).getBoundingClientRect())"
            )
            clip = {"clip": {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 1}}
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])
        return matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]

    def ink(self, selector: str) -> int:
        """Pixels of an element that differ from its corner's."""
        picture = self.picture(selector)
        return int((np.abs(picture - picture[0, 0]).max(axis=-1) > 0.08).sum())

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._out), os.close(self._in)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            assert select.select([self._in], [], [], 60)[0], "the browser has not answered for a minute"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser ended"
            self._unread += chunk
        text, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(text)
        kind, params = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if kind == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["exception"]["description"])
        if kind == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        return message


def _high(descriptor: int) -> int:
    """The same file with a number that is not among those which the browser expects."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high
