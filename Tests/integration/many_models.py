"""Two thousand models: what a listener of the stream is sent, and that every model is found; three hundred in a browser.

    Tests/run --only a_listener_of_2000_models_gets_50_kb_a_second

SLUICE_SCREENSHOTS=FOLDER keeps pictures of the page."""
import contextlib
import http.client
import json
import random
import threading
import time
import urllib.parse

import page as dashboard
import processes
from processes import V1, Process, config, folder, get, model, until

MOST = 50_000
# No judgement: what takes longer than this on the busiest machine hangs.
PATIENCE = 300


def gateway(text):
    """A gateway; so many models take their time to be ready where other work is done."""
    path = f"{folder}/many-{time.monotonic_ns()}.yaml"
    with open(path, "w") as file:
        file.write(text)
    proxy = Process(processes.SLUICE, "serve", "--config", path)
    proxy.config = path
    proxy.admin = proxy.wait_for(r"admin listening address=(\S+)", timeout=PATIENCE)
    proxy.address = proxy.wait_for(r" listening address=(\S+) tls=off", timeout=PATIENCE)
    until(lambda: get(proxy.admin, "/readyz")[0] == 200, timeout=PATIENCE)
    return proxy


def call(proxy, method, path, body=None):
    client = http.client.HTTPConnection(proxy.admin, timeout=PATIENCE)
    client.request(method, path, None if body is None else json.dumps(body))
    answer = client.getresponse()
    text = answer.read()
    client.close()
    return answer.status, json.loads(text)


def fleet(count, first, second, changes=None):
    """Models of two revisions; `changes` has other backends of single models."""
    rows = []
    for number in range(count):
        backends = (changes or {}).get(number, [f"{{rest: 'http://{first.address}'}}"])
        rows.append(
            f"  - {{name: model-{number:04d}, health: {{interval: 600s}}, revisions: ["
            f"{{name: v1, traffic: 90, modelName: iris, backends: [{', '.join(backends)}]}}, "
            f"{{name: v2, traffic: 10, modelName: iris, backends: [{{rest: 'http://{second.address}'}}]}}]}}")
    return rows


@contextlib.contextmanager
def callers(proxy, count, threads=3):
    """Callers who ask one model after the other."""
    stop = threading.Event()

    def ask(number):
        client = http.client.HTTPConnection(proxy.address)
        while not stop.is_set():
            client.request("POST", f"/v1/models/model-{number % count:04d}:predict", V1, {"content-type": "application/json"})
            client.getresponse().read()
            number += threads
        client.close()

    all_of_them = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    [thread.start() for thread in all_of_them]
    yield
    stop.set()
    [thread.join() for thread in all_of_them]


class Listener:
    """One who listens to the stream and keeps what it is told, as the page does."""

    def __init__(self, proxy, **view):
        self.connection = http.client.HTTPConnection(proxy.admin, timeout=PATIENCE)
        self.connection.request("GET", "/api/v1/stream?" + urllib.parse.urlencode(view))
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.sizes, self.lines, self.state, self.events = [], {}, {}, []
        self.waiting = 0

    def frame(self):
        """The next frame's data; keeps when the gateway made it and what it and the events before it weigh."""
        while True:
            message, size = [], self.waiting
            while (line := self.answer.readline()) not in (b"\n", b""):
                size += len(line)
                message.append(line.decode().rstrip("\n").partition(": "))
            assert message or line, "the stream has ended"
            self.waiting = size + 1
            fields = {name: text for name, _, text in message}
            if fields.get("event") == "events":
                self.events += json.loads(fields["data"])
            if fields.get("event") != "state":
                continue
            frame = json.loads(fields["data"])
            self.sizes.append((frame["time"], self.waiting))
            self.waiting = 0
            told = {name: value for name, value in frame.items() if name != "models"}
            if told.get("model"):
                told["model"] = {**(self.state.get("model") or {}), **told["model"]}
            self.state.update(told)
            self.lines.update({line["name"]: line for line in frame.get("models", [])})
            self.lines = {name: line for name, line in self.lines.items() if name in self.state["page"]["names"]}
            return frame

    def until(self, condition):
        while not condition(self):
            self.frame()

    @property
    def busiest_second(self):
        """The most bytes of any second, by the gateway's own time."""
        return max(sum(size for time, size in self.sizes if start <= time < start + 1000) for start, _ in self.sizes)

    def close(self):
        self.answer.close(), self.connection.close()


def is_whole(listener):
    return set(listener.lines) == set(listener.state["page"]["names"])


def a_listener_of_2000_models_gets_50_kb_a_second():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(fleet(2000, first, second)))
    whole = call(proxy, "GET", "/api/v1/models")[1]
    assert len(whole["models"]) == 2000 and set(whole) == {"generation", "models", "redis"}, list(whole)
    views = [{}, {"limit": 100, "sort": "requests"}, {"search": "model-1", "sort": "health", "limit": 100, "model": "model-1234"}]
    with callers(proxy, 2000):
        listeners = [Listener(proxy, **view) for view in views]
        moved = 0
        for round in range(12):
            # Changes in between are told at once, and are in the same budget.
            moved = 10 + round
            assert call(proxy, "PUT", "/api/v1/models/model-1234/traffic", {"v1": 100 - moved, "v2": moved})[0] == 200
            [listener.frame() for listener in listeners]
        for listener in listeners:
            assert listener.busiest_second <= MOST, (listener.busiest_second, listener.sizes)
            assert listener.state["summary"]["models"] == 2000 and listener.state["summary"]["backendCount"] == 4000
        opened = listeners[2]
        opened.until(lambda seen: seen.events and seen.events[-1]["to"] == f"v1={100 - moved} v2={moved}")
        opened.until(lambda seen: "model-1234" not in seen.lines or seen.lines["model-1234"]["revisions"][1]["traffic"] == moved)
        # Numbers move: what is called is seen.
        listeners[1].until(lambda seen: is_whole(seen) and any(line["requestsPerSecond"] > 0 for line in seen.lines.values()))
    [listener.close() for listener in listeners]

    # Every model is on one page, by the stream and by the call.
    names = {f"model-{number:04d}" for number in range(2000)}
    found = []
    for offset in range(0, 2000, 100):
        listener = Listener(proxy, offset=offset, limit=100, sort="name", model="")
        listener.frame()
        listener.until(is_whole)
        found += listener.state["page"]["names"]
        listener.close()
    assert len(found) == 2000 and set(found) == names
    found, token = [], None
    while token or not found:
        more = {"continue": token} if token else {}
        code, part = call(proxy, "GET", "/api/v1/models?" + urllib.parse.urlencode({"limit": 300, "search": "v1", **more}))
        assert code == 200 and part["matching"] == 2000, part
        found += [one["name"] for one in part["models"]]
        token = part["continue"]
    assert found == sorted(names)
    for name in random.Random(23).sample(sorted(names), 20):
        assert [one["name"] for one in call(proxy, "GET", f"/api/v1/models?search={name}")[1]["models"]] == [name]
    for words in ("model-1999 v2", "V1%20MODEL-1999"):
        query = words if "%" in words else words.replace(" ", "+")
        assert [one["name"] for one in call(proxy, "GET", f"/api/v1/models?search={query}")[1]["models"]] == ["model-1999"], words
    for query in ("sort=size", "limit=0", "limit=1001", "continue=x", "search=" + 300 * "a"):
        assert call(proxy, "GET", f"/api/v1/models?{query}")[0] == 400, query
    for query in ("sort=size", "limit=101", "offset=-1"):
        assert call(proxy, "GET", f"/api/v1/stream?{query}")[0] == 400, query

    # What is gone is gone from the page, the opened model too.
    listener = Listener(proxy, sort="name", offset=950, model="model-1900")
    listener.frame()
    listener.until(lambda seen: is_whole(seen) and seen.state.get("model", {}).get("order") == ["v1", "v2"])
    with open(proxy.config, "w") as file:
        file.write(config(fleet(1000, first, second)))
    assert call(proxy, "POST", "/api/v1/reload")[0] == 200
    listener.until(lambda seen: seen.state["summary"]["models"] == 1000)
    listener.until(is_whole)
    assert listener.state["page"]["names"] == [f"model-{number:04d}" for number in range(950, 1000)]
    listener.until(lambda seen: seen.state["model"] is None)
    assert listener.busiest_second <= MOST
    sent = float(next(line for line in get(proxy.admin, "/metrics")[2].decode().splitlines()
                      if line.startswith("sluice_stream_bytes_total")).split()[1])
    assert sent >= sum(size for _, size in listener.sizes)
    listener.close()
    proxy.stop(), first.stop(), second.stop()


def what_has_been_told_is_not_told_again():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(fleet(3, first, second)))
    for number in range(3):
        call(proxy, "PUT", f"/api/v1/models/model-000{number}/traffic", {"v1": 50, "v2": 50})
    listener = Listener(proxy, model="")
    listener.until(lambda seen: sum(event["kind"] == "traffic" for event in seen.events) == 3)
    # Without traffic a frame is the time and nothing else.
    until(lambda: set(listener.frame()) == {"time", "uptimeSeconds"})
    last = f"{listener.state['startedAt']}-{listener.events[-1]['id']}"
    listener.close()
    # Who connects again has the list anew and only the events that it missed.
    call(proxy, "PUT", "/api/v1/models/model-0001/traffic", {"v1": 40, "v2": 60})
    again = Listener(proxy, model="", lastEventId=last)
    again.frame()
    assert set(again.lines) == {"model-0000", "model-0001", "model-0002"} and again.state["page"]["matching"] == 3
    again.until(lambda seen: seen.events)
    assert [event["to"] for event in again.events] == ["v1=40 v2=60"], again.events
    again.close()
    # The id of another process is none of ours.
    other = Listener(proxy, model="", lastEventId="1-100000")
    other.until(lambda seen: len(seen.events) >= 4)
    other.close()
    proxy.stop(), first.stop(), second.stop()


def the_page_finds_its_way_among_300_models():
    first, second = model("--delay", "2ms"), model("--revision", "v2", "--delay", "4ms")
    changes = {123: [f"{{rest: 'http://{first.address}'}}", "{rest: 'http://127.0.0.1:9'}"], 77: ["{rest: 'http://127.0.0.1:9'}"]}
    proxy = gateway(config(fleet(300, first, second, changes)))
    shown = "[...document.querySelectorAll('.models a')].map((a) => a.textContent)"
    title = "document.getElementById('model-title').textContent"

    with callers(proxy, 300), dashboard.looking_at(proxy) as page:
        page.until(f"{shown}.length === 50 && {title} === 'model-0000'")
        page.until("document.querySelector('.pager').textContent.includes('1–50 of 300')")
        page.until("document.querySelector('.totals').textContent.startsWith('300 models')")
        # Numbers change, and nothing moves.
        page.run("""window.shifts = 0; new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value; }).observe({type: 'layout-shift'})""")
        page.until("[...document.querySelectorAll('.models .rate')].filter((e) => e.textContent !== '0/s').length > 20")
        before = page.run("[...document.querySelectorAll('.models .rate')].map((e) => e.textContent).join()")
        page.until(f"[...document.querySelectorAll('.models .rate')].map((e) => e.textContent).join() !== {json.dumps(before)}")
        dashboard.picture(page, "fleet-light")
        assert page.run("new Set([...document.querySelectorAll('.models li')].map((e) => e.offsetHeight)).size") == 1
        assert page.run("window.shifts") < 0.01, "the layout jumps"
        page.prefer(prefers_color_scheme="dark")
        dashboard.picture(page, "fleet-dark")
        page.prefer(prefers_color_scheme="light")

        # Pages, by mouse.
        page.click("[aria-label='Next page']")
        page.until(f"{shown}[0] === 'model-0050' && location.hash.includes('offset=50')")
        page.click("[aria-label='Previous page']")
        page.until(f"{shown}[0] === 'model-0000'")

        # A search, by keys: each letter narrows it, the first found is shown.
        page.run("document.activeElement.blur()")
        page.press("/")
        page.until("document.activeElement.type === 'search'")
        page.write("0299")
        page.until(f"{shown}.join() === 'model-0299' && {title} === 'model-0299'")
        dashboard.picture(page, "fleet-search")
        page.run("document.querySelector('[type=search]').select()")
        page.write("nothing")
        page.until("document.querySelector('.overview .empty').textContent.includes('nothing')")
        page.run("document.querySelector('[type=search]').select()")
        page.press("Backspace")
        page.until(f"{shown}.length === 50")
        # Arrows lead through the list and Enter opens; the focus stays, so that one can go on.
        page.press("ArrowDown")
        page.until("document.activeElement.textContent === 'model-0000'")
        for _ in range(3):
            page.press("ArrowDown")
        page.until("document.activeElement.textContent === 'model-0003'")
        page.press("Enter")
        page.until(f"{title} === 'model-0003' && document.activeElement.textContent === 'model-0003'")
        page.until("document.querySelector('.models [aria-current]').textContent === 'model-0003'")
        page.press("End")
        page.until("document.activeElement.textContent === 'model-0049'")

        # What is wrong comes first, when asked for.
        page.until("document.querySelector('.trouble').textContent === '2 need a look'")
        page.click(".trouble")
        page.until(f"{shown}.slice(0, 3).join() === 'model-0077,model-0123,model-0000'")
        page.click(".models li:nth-child(2) a")
        page.until(f"{title} === 'model-0123'")
        page.until("document.querySelector('.backends .reason:not([hidden])')?.textContent.includes('Connection refused')")
        dashboard.picture(page, "fleet-trouble")

        # Weights are shifted here as they are with one model.
        page.run("document.querySelector('.weight:nth-child(2) input[type=number]').focus()")
        page.run("document.activeElement.select()")
        page.write("25")
        page.press("Enter")
        page.until("document.getElementById('confirm').open")
        page.press("Enter")
        page.until("document.getElementById('outcome').textContent.includes('v2 25')")
        state = call(proxy, "GET", "/api/v1/models/model-0123")[1]
        assert [one["traffic"] for one in state["revisions"]] == [75, 25]

        # An address shows what it showed.
        address = page.run("location.href")
        page.open("about:blank")
        page.open(address)
        page.until(f"document.getElementById('model-title')?.textContent === 'model-0123' && {shown}[0] === 'model-0077'")

        # A phone: one thing at a time.
        page.resize(390, 844, is_phone=True)
        page.until("document.documentElement.scrollWidth === 390")
        page.until("!document.getElementById('overview').checkVisibility()")
        dashboard.picture(page, "fleet-phone-model")
        page.click("#back")
        page.until("document.getElementById('overview').checkVisibility() && !document.getElementById('main').checkVisibility()")
        page.until(f"{shown}.length === 50 && document.documentElement.scrollWidth === 390")
        dashboard.picture(page, "fleet-phone")
        page.click(".models li:nth-child(1) a")
        page.until(f"{title} === 'model-0077' && document.getElementById('main').checkVisibility()")
        assert not page.problems, page.problems
    proxy.stop(), first.stop(), second.stop()


CHECKS = [a_listener_of_2000_models_gets_50_kb_a_second, what_has_been_told_is_not_told_again]
if dashboard.PROGRAM:
    CHECKS += [the_page_finds_its_way_among_300_models]
