"""Chromium without a window, steered by the DevTools protocol over two pipes: no driver and no package needed.

https://chromedevtools.github.io/devtools-protocol/ ; with --remote-debugging-pipe the browser reads commands from
descriptor 3 and writes answers and events to descriptor 4, each a JSON text that ends in a zero byte."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import processes

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
        "Home": 36, "End": 35, " ": 32, "Backspace": 8, ".": 190}

# No judgement: what takes longer than this on the busiest machine hangs.
PATIENCE = 180


def chromium():
    """The browser's program, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Page:
    """One tab. What the page logs, throws and asks the network for is kept in lists."""

    def __init__(self, program, width=1360, height=1000):
        self.folder = tempfile.mkdtemp(prefix="sluice-browser-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire():
            # Both ends might be 3 or 4 themselves.
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3), os.dup2(second, 4)

        self.child = processes.spawn(
            [program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--mute-audio",
             "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-extensions",
             "--disable-component-update", "--disable-sync", "--disable-default-apps", "--hide-scrollbars",
             f"--user-data-dir={self.folder}", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=wire, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in), os.close(theirs_out)
        self.output = ours_out
        self.answers, self.changed, self.number = {}, threading.Condition(), 0
        self.problems, self.requests, self.headers = [], [], {}
        threading.Thread(target=self._read, args=(os.fdopen(ours_in, "rb", buffering=0),), daemon=True).start()
        self.session = None
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def _read(self, pipe):
        rest = b""
        while piece := pipe.read(1 << 16):
            *texts, rest = (rest + piece).split(b"\0")
            for text in texts:
                self._take(json.loads(text))
        with self.changed:
            self.answers["end"] = True
            self.changed.notify_all()

    def _take(self, message):
        if "id" in message:
            with self.changed:
                self.answers[message["id"]] = message
                self.changed.notify_all()
            return
        method, fields = message["method"], message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append((fields["request"]["method"], fields["request"]["url"]))
        elif method == "Network.responseReceived":
            self.headers[fields["response"]["url"]] = {k.lower(): v for k, v in fields["response"]["headers"].items()}
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(fields["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and fields["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(fields["args"])[:600])
        elif method == "Log.entryAdded" and fields["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{fields['entry']['text']} {fields['entry'].get('url', '')}")

    def call(self, method, **fields):
        with self.changed:
            self.number += 1
            number = self.number
        message = {"id": number, "method": method, "params": fields}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        with self.changed:
            found = self.changed.wait_for(lambda: number in self.answers or "end" in self.answers, PATIENCE)
            assert found and number in self.answers, f"the browser did not answer {method}"
            answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    # What a person does and sees

    def open(self, url):
        self.call("Page.navigate", url=url)

    def resize(self, width, height, is_phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)

    def prefer(self, **features):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def run(self, expression):
        """The value of an expression in the page, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true, and returns it."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.run(expression)):
            assert time.monotonic() < deadline, f"never: {expression}\n{self.text()}"
            time.sleep(0.03)
        return value

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def middle(self, selector):
        box = self.run(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: 'center', behavior: 'instant'}}); const b = e.getBoundingClientRect();
            return [b.left + b.width / 2, b.top + b.height / 2, b.left, b.width]; }})()""")
        return box

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector):
        x, y, *_ = self.middle(selector)
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(self, selector, share_from, share_to):
        """Drags within an element, from one share of its width to another."""
        _, y, left, width = self.middle(selector)
        start, end = left + width * share_from, left + width * share_to
        self.mouse("mouseMoved", start, y)
        self.mouse("mousePressed", start, y, button="left", clickCount=1)
        for step in range(1, 9):
            self.mouse("mouseMoved", start + (end - start) * step / 8, y, button="left", buttons=1)
        self.mouse("mouseReleased", end, y, button="left", clickCount=1)

    def press(self, key, shift=False):
        code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        fields = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **fields)
        self.call("Input.dispatchKeyEvent", type="keyUp", **fields)

    def write(self, text):
        for letter in text:
            self.press(letter)

    def tab_to(self, label, limit=80):
        """Presses Tab until what has the focus is called so."""
        seen = []
        for _ in range(limit):
            self.press("Tab")
            name = self.run("(e => (e.getAttribute('aria-label') || e.textContent || e.id).trim())(document.activeElement)")
            seen.append(name[:40])
            if name == label:
                return
        raise AssertionError(f"{limit} tabs do not lead to {label!r}, but to {seen}")

    def screenshot(self, path, whole=True):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}} if whole else {}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
            # How long it takes to leave depends on the machine, and is no matter of the page's.
            self.child.wait(timeout=10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()
        os.close(self.output)
        shutil.rmtree(self.folder, ignore_errors=True)
