"""The page at / on the admin port, in a real browser without a window: what it shows is so, what it shifts is shifted
(by mouse and by keys alone), nothing comes from outside and nothing complains.

    Tests/run --only the_page_shifts_by_mouse_and_by_keys

SLUICE_SCREENSHOTS=FOLDER keeps pictures: light, dark, narrow, the question before a shift."""
import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import termios
import threading

import browser
import processes
from control import call, iris, revision, weights
from processes import config, folder, gateway, get, model, one, predictions, until

PROGRAM = browser.chromium()
PICTURES = os.environ.get("SLUICE_SCREENSHOTS")
HOSTILE = "<img src=x onerror=alert(1)>"
FIELDS = {"content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
          "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
          "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}


@contextlib.contextmanager
def looking_at(proxy, **size):
    page = browser.Page(PROGRAM, **size)
    try:
        page.open(f"http://{proxy.admin}/")
        page.until("document.querySelectorAll('.revisions tbody tr').length > 0")
        yield page
        hosts = {url.split("/")[2] for _, url in page.requests if "://" in url and not url.startswith("data:")}
        assert hosts <= {proxy.admin}, f"the page asked {hosts} for something"
    finally:
        page.close()


@contextlib.contextmanager
def callers(proxy, count=3):
    """Callers who ask all the time; yields what they were answered."""
    stop, answers = threading.Event(), []

    def ask():
        client = http.client.HTTPConnection(proxy.address)
        number = 0
        while not stop.is_set():
            number += 1
            body = json.dumps({"instances": [[5.1, 3.5, 1.4, (number % 40) / 10]]})
            client.request("POST", "/v1/models/iris:predict", body, {"content-type": "application/json"})
            answer = client.getresponse()
            answer.read()
            answers.append((answer.status, answer.headers["x-sluice-revision"]))
            stop.wait(0.01)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    [thread.start() for thread in threads]
    yield answers
    stop.set()
    [thread.join() for thread in threads]


def cell(row, label):
    return f"document.querySelectorAll('.revisions tbody tr')[{row}].querySelector('[data-label=\"{label}\"]').textContent"


def answers_of(proxy, count=20):
    return {revision(proxy) for _ in range(count)}


def picture(page, name):
    if PICTURES:
        os.makedirs(PICTURES, exist_ok=True)
        page.screenshot(os.path.join(PICTURES, f"{name}.png"), whole=name != "question")


def the_page_shifts_by_mouse_and_by_keys():
    first, second = model("--delay", "3ms"), model("--revision", "v2", "--delay", "6ms")
    proxy = gateway(config(iris(first, second, (90, 10))))
    with callers(proxy) as answers, looking_at(proxy) as page:
        # What is shown is what happens.
        page.until(f"Number({cell(0, 'Req/s')}.replace(',', '')) > 20 && {cell(0, 'p99')}.includes('ms')")
        page.until("document.querySelector('.plot .lines path').getAttribute('d').length > 40")
        page.until("document.getElementById('connection').textContent === 'Live'")
        picture(page, "light")
        page.prefer(prefers_color_scheme="dark")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 23)"
        picture(page, "dark")
        page.prefer(prefers_color_scheme="light")

        # By mouse: the second slider to its right end.
        page.drag(".weight:nth-child(2) input[type=range]", 0.1, 1.0)
        page.until("document.querySelector('.preview').textContent.replaceAll('\\u00a0', ' ') === 'v1 90 % → 0 %, v2 10 % → 100 %'")
        assert weights(proxy) == {"v1": 90, "v2": 10}, "a preview changes nothing"
        page.click(".apply button[type=submit]")
        page.until("document.getElementById('confirm').open")
        picture(page, "question")
        page.click("#confirm button[value=yes]")
        page.until("document.getElementById('outcome').textContent.includes('v2 100')")
        assert weights(proxy) == {"v1": 0, "v2": 100}
        assert answers_of(proxy) == {"v2"}
        before = predictions(first), predictions(second)
        until(lambda: predictions(second) > before[1] + 20)
        assert predictions(first) == before[0], "a revision without weight was asked"
        page.until(f"{cell(0, 'Traffic')}.startsWith('0')")
        page.until("document.getElementById('events').textContent.includes('v1=0 v2=100')")

        # By keys alone: from the page's top to the number, to the question, to yes.
        page.run("document.activeElement.blur()")
        page.tab_to("Traffic of v1 in percent")
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus can't be seen"
        page.run("document.activeElement.select()")
        page.write("37.5")
        page.until("document.querySelector('.preview').textContent.replaceAll('\\u00a0', ' ') === 'v1 0 % → 37.5 %, v2 100 % → 62.5 %'")
        page.press("Enter")
        page.until("document.getElementById('confirm').open")
        page.press("Escape")
        page.until("!document.getElementById('confirm').open")
        assert weights(proxy) == {"v1": 0, "v2": 100}, "Escape means no"
        page.press("Enter")
        page.until("document.getElementById('confirm').open && document.activeElement.value === 'yes'")
        page.press("Enter")
        page.until("document.getElementById('outcome').textContent.includes('v2 62.5')")
        assert weights(proxy) == {"v1": 37.5, "v2": 62.5}
        # The slider by arrow keys.
        page.tab_to("Traffic of v2, slider")
        for _ in range(3):
            page.press("ArrowLeft")
        page.press("End")
        page.press("Enter")
        page.until("document.getElementById('confirm').open")
        page.press("Enter")
        until(lambda: weights(proxy) == {"v1": 0, "v2": 100})
        assert answers_of(proxy) == {"v2"}
        assert {status for status, _ in answers} == {200}

        # A phone.
        page.resize(320, 640, is_phone=True)
        page.until("document.documentElement.scrollWidth === 320")
        picture(page, "narrow")
        # Whatever can be used has a name, and no name is used twice for the same kind of thing.
        names = page.run("""[...document.querySelectorAll('button, input, a, [tabindex="0"]')].filter((e) => e.checkVisibility())
            .map((e) => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent.trim())""")
        assert all(names) and len(names) == len(set(names)), names
        assert not page.problems, page.problems
    for path in ("/", "/dashboard/main.js", "/dashboard/style.css"):
        code, fields, body = get(proxy.admin, path)
        assert code == 200 and body and {name: fields.get(name) for name in FIELDS} == FIELDS, (path, fields)
        code, again, body = get(proxy.admin, path, headers={"if-none-match": fields["etag"]})
        assert code == 304 and not body and again["etag"] == fields["etag"], (code, again)
    proxy.stop(), first.stop(), second.stop()


def the_page_drains_purges_and_tells():
    first, second, third = model(), model(), model("--revision", "v2")
    rows = f"""  - name: iris
    cache: {{ttl: 60s}}
    revisions:
      - {{name: v1, traffic: 100, backends: [{{rest: "http://{first.address}"}}, {{rest: "http://{second.address}"}}]}}
      - {{name: v2, traffic: 0, backends: [{{rest: "http://{third.address}"}}]}}"""
    proxy = gateway(config([rows, one("echo", first.address),
                            one(f"'{HOSTILE}'", first.address)]))
    with callers(proxy), looking_at(proxy) as page:
        page.until("document.querySelector('.tiles').textContent.includes('%')")
        button = f"[aria-label='Drain {first.address} of v1']"
        page.click(button)
        page.until("document.getElementById('confirm').open")
        page.click("#confirm button[value=yes]")
        page.until(f"document.querySelector(\"[aria-label='Put back {first.address} of v1']\")?.checkVisibility()")
        state = call(proxy, "GET", "/api/v1/models/iris")[1]["revisions"][0]["backends"]
        assert {b["address"]: b["state"] for b in state} == {first.address: "drain", second.address: "ready"}
        page.click(".model > header button")
        page.until("document.getElementById('confirm').open")
        page.click("#confirm button[value=yes]")
        page.until("document.getElementById('outcome').textContent.includes('forgotten')")
        # What strangers wrote stays text.
        call(proxy, "PUT", "/api/v1/models/iris/traffic", {"v1": 99, "v2": 1}, **{"x-sluice-author": HOSTILE.replace(" ", "/")})
        page.until("document.getElementById('events').textContent.includes('<img/src=x')")
        page.click("#overview li:nth-child(3) a")
        page.until(f"document.getElementById('model-title').textContent === {json.dumps(HOSTILE)}")
        assert page.run("document.querySelectorAll('img:not(h1 img)').length") == 0
        # Another model has an address of its own.
        page.click("#overview a[href='#/models/echo']")
        page.until("document.getElementById('model-title').textContent === 'echo'")
        assert page.run("document.querySelector('.traffic').hidden"), "one revision leaves nothing to shift"
        assert not page.problems, page.problems
    proxy.stop(), first.stop(), second.stop(), third.stop()


def the_page_steers_a_rollout():
    first, second = model("--delay", "2ms"), model("--revision", "v2", "--delay", "2ms")
    proxy = gateway(config(iris(first, second, (100, 0))))
    plan = {"revision": "v2", "steps": [10, 50, 100], "interval": "60s", "minRequests": 100000}
    with callers(proxy), looking_at(proxy) as page:
        assert page.run("document.querySelector('.rollout').hidden")
        assert call(proxy, "POST", "/api/v1/models/iris/canary", plan)[0] == 200
        panel = "document.querySelector('.rollout').innerText.replaceAll('\\u00a0', ' ')"
        page.until(f"{panel}.includes('Rollout of v2 beside v1') && {panel}.includes('progressing')")
        # Which step, how far to the next look, and why it holds: the gates lack evidence, and say how much.
        page.until("document.querySelector('.steps [aria-current=step]').textContent.startsWith('10')")
        page.until(f"/decides in [0-9]+ s/.test({panel})")
        page.until(f"/v2 has [0-9]+ of the 100000 answers a check needs/.test({panel})")
        page.until(f"{panel}.includes('too little evidence') && /p99.*ms/s.test({panel})")
        picture(page, "rollout")
        page.click("[data-lever=pause]")
        page.until(f"{panel}.includes('paused')")
        assert call(proxy, "GET", "/api/v1/models/iris/canary")[1]["status"] == "paused"
        page.click("[data-lever=resume]")
        page.until(f"{panel}.includes('progressing')")
        page.click("[data-lever=abort]")
        page.until("document.getElementById('confirm').open")
        page.press("Enter")
        page.until(f"{panel}.includes('rolled back')")
        assert weights(proxy) == {"v1": 100, "v2": 0}
        assert page.run("[...document.querySelectorAll('[data-lever]')].every((button) => button.hidden)")
        assert call(proxy, "POST", "/api/v1/models/iris/canary", plan)[0] == 200
        page.until(f"{panel}.includes('progressing')")
        page.click("[data-lever=promote]")
        page.until("document.getElementById('confirm').open")
        page.press("Enter")
        page.until(f"{panel}.includes('promoted')")
        assert weights(proxy) == {"v1": 0, "v2": 100}
        assert not page.problems, page.problems
    proxy.stop(), first.stop(), second.stop()


def the_page_explains_conflicts_and_asks_for_the_token():
    first, second = model(), model("--revision", "v2")
    secret = f"{folder}/admin.token"
    with open(secret, "w") as file:
        file.write("open sesame\n")
    proxy = gateway(config(iris(first, second, (90, 10)), admin=f", tokenFile: '{secret}'"))
    token = {"authorization": "Bearer open sesame"}

    def dial(page, percent):
        page.run("document.querySelectorAll('.weight input[type=number]')[1].select()")
        page.write(str(percent))
        page.press("Enter")
        page.until("document.getElementById('confirm').open")

    def enter(page, text):
        page.until("document.getElementById('token').open")
        page.write(text)
        page.press("Enter")

    # Another site's page may make a browser send this, and the browser says whose page it was.
    foreign = dict(token, origin="http://news.example")
    assert call(proxy, "POST", "/api/v1/reload", **foreign)[0] == 403
    assert call(proxy, "POST", "/api/v1/reload", **dict(token, origin=f"http://{proxy.admin}"))[0] == 200
    with looking_at(proxy) as page:
        dial(page, 20)
        page.press("Enter")
        enter(page, "guess")
        page.until("document.getElementById('outcome').textContent.includes('does not know this token')")
        assert weights(proxy) == {"v1": 90, "v2": 10}
        dial(page, 20)
        page.press("Enter")
        enter(page, "open sesame")
        until(lambda: weights(proxy) == {"v1": 80, "v2": 20})
        # The tab remembers it, and nothing else does.
        page.until("[sessionStorage.length, localStorage.length, document.cookie.length].join() === '1,0,0'")
        # Somebody else moves while the question is open.
        page.until(f"{cell(1, 'Traffic')}.startsWith('20')")
        dial(page, 30)
        call(proxy, "PUT", "/api/v1/models/iris/traffic", {"v1": 50, "v2": 50}, **token)
        page.until("document.querySelector('.traffic .warning').textContent.includes('changed elsewhere')")
        page.press("Enter")
        page.until("document.querySelector('.traffic .warning').textContent.includes('nothing was shifted')")
        assert weights(proxy) == {"v1": 50, "v2": 50}
        expected = ("401", "409")
        assert all(any(code in line for code in expected) for line in page.problems), page.problems
        # The gateway leaves: the page says so, and that its numbers are old.
        assert proxy.stop() == 0
        page.until("document.getElementById('connection').textContent === 'Disconnected' && document.body.classList.contains('stale')")
        assert "silent since" in page.run("document.getElementById('notice').textContent")
    first.stop(), second.stop()


def weights_always_sum_to_the_whole():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)]))
    with looking_at(proxy) as page:
        found = page.run("""(async () => {
          const { rebalanced, pointsOf } = await import('/dashboard/weights.js');
          let seed = 1;
          const next = (bound) => (seed = (seed * 48271) % 2147483647) % bound;
          for (let round = 0; round < 20000; round += 1) {
            let weights = [10000, ...Array(next(5) + 1).fill(0)];
            for (let step = 0; step < 4; step += 1) {
              const index = next(weights.length), points = next(10001);
              const after = rebalanced(weights, index, points);
              const sum = after.reduce((a, b) => a + b, 0);
              if (sum !== 10000 || after[index] !== points || after.some((w) => w < 0 || !Number.isInteger(w))) return [weights, index, points, after];
              weights = after;
            }
          }
          const texts = [['12.34', 1234], ['0,5', 50], ['', null], ['-1', null], ['100.01', null], ['abc', null], ['100', 10000]];
          return texts.find(([text, wanted]) => pointsOf(text) !== wanted) ?? 'good';
        })()""")
        assert found == "good", found
    proxy.stop(), backend.stop()


def the_stream_is_bounded_and_ends_in_order():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)]))
    host, port = proxy.admin.split(":")

    def listen():
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(b"GET /api/v1/stream HTTP/1.1\r\nhost: sluice\r\n\r\n")
        return connection

    def take(connection, wanted):
        text = b""
        while wanted not in text:
            piece = connection.recv(65536)
            assert piece, f"ended before {wanted}: {text[-300:]}"
            text += piece
        return text

    listeners = [listen() for _ in range(64)]
    for connection in listeners:
        text = take(connection, b"event: state\ndata: {")
        assert text.startswith(b"HTTP/1.1 200") and b"content-type: text/event-stream" in text, text[:300]
    assert take(listen(), b"}").startswith(b"HTTP/1.1 503")
    assert b"sluice_stream_listeners 64" in get(proxy.admin, "/metrics")[2]
    # Who leaves makes room.
    listeners.pop().close()
    until(lambda: take(listen(), b"\r\n").startswith(b"HTTP/1.1 200"))
    # A change is told at once, not at the next second.
    code, _, _ = call(proxy, "PUT", f"/api/v1/models/iris/revisions/v1/backends/{backend.address}", {"state": "drain"})
    assert code == 200
    take(listeners[0], b'"kind":"backend"')
    # One who never reads costs its own connection only; at the end everybody is told that it is the end.
    assert proxy.stop() == 0
    rest = b""
    while piece := listeners[0].recv(65536):
        rest += piece
    assert rest.endswith(b"0\r\n\r\n"), rest[-200:]
    backend.stop()


def top_draws_and_gives_the_terminal_back():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(iris(first, second, (90, 10))))
    call(proxy, "PUT", "/api/v1/models/iris/traffic", {"v1": 75, "v2": 25})
    command = [processes.SLUICE, "top", "iris", "--interval", "0.2", "--admin", f"http://{proxy.admin}"]
    for leave in (lambda child, terminal: os.write(terminal, b"q"), lambda child, terminal: os.write(terminal, b"\x03"),
                  lambda child, terminal: child.send_signal(signal.SIGTERM)):
        terminal, end = os.openpty()
        termios.tcsetwinsize(end, (24, 80))
        before = termios.tcgetattr(end)
        child = processes.spawn(command, stdin=end, stdout=end, stderr=end, start_new_session=True)
        text = b""
        while not re.search(rb"iris +v2 +25 % \(file 10 %\)", text) or text.count(b"\x1b[H") < 3:
            text += os.read(terminal, 65536)
        leave(child, terminal)
        while child.poll() is None or select.select([terminal], [], [], 0)[0]:
            if select.select([terminal], [], [], 0.05)[0]:
                text += os.read(terminal, 65536)
        assert child.returncode == 0
        assert text.startswith(b"\x1b[?1049h") and text.endswith(b"\x1b[?25h\x1b[?1049l"), text[-60:]
        assert termios.tcgetattr(end) == before
        assert b"P99" in text and b"traffic of iris moved" in text, text[-2000:]
        rows = [re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", row) for row in text.decode().replace("\x1b[H", "\r\n").split("\r\n")]
        assert max(map(len, rows)) <= 80, rows
        os.close(terminal), os.close(end)
    # Into a pipe it writes lines, and ends when the gateway has gone.
    child = processes.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline().count(":") == 2 and child.stdout.readline().startswith("MODEL")
    proxy.stop()
    rest, complaint = child.communicate(timeout=20)
    assert child.returncode == 1 and complaint.startswith("sluice top: ") and "\x1b" not in rest, complaint
    first.stop(), second.stop()


CHECKS = [the_stream_is_bounded_and_ends_in_order, top_draws_and_gives_the_terminal_back]
if PROGRAM:
    CHECKS += [the_page_shifts_by_mouse_and_by_keys, the_page_drains_purges_and_tells, the_page_steers_a_rollout,
               the_page_explains_conflicts_and_asks_for_the_token, weights_always_sum_to_the_whole]
else:
    print("skip  the page: there is no chromium here (apt-get install chromium)", flush=True)
