"""A revision's cache is warm before its callers come.

    Tests/run --only a_shift_with_warm_up_is_not_felt
"""
import bisect
import http.client
import itertools
import json
import random
import re
import signal
import struct
import subprocess
import threading
import time

import cache
import checks
import processes
from control import call
from processes import config, gateway, get, model, predictions, until

V2 = "/v2/models/echo/infer"
V1 = "/v1/models/echo:predict"
KEYS, EXPONENT = 2000, 0.9
SUMS = list(itertools.accumulate(rank ** -EXPONENT for rank in range(1, KEYS + 1)))


def two(first, second, cache="{ttl: 5m, warm: {top: 1500, rate: 1000/s}}"):
    return config([f"""  - name: echo
    cache: {cache}
    revisions:
      - {{name: v1, traffic: 100, backends: [{{rest: "http://{first.address}", grpc: "http://{first.address}"}}]}}
      - {{name: v2, traffic: 0, backends: [{{rest: "http://{second.address}", grpc: "http://{second.address}"}}]}}"""])


def v2(number):
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4],
                                   "data": [number, 1, 2, 3]}]}).encode()


def shift(proxy, v1, v2, query=""):
    # A shift that warms is answered when it is in force.
    connection = http.client.HTTPConnection(proxy.admin, timeout=60)
    connection.request("PUT", f"/api/v1/models/echo/traffic{query}", json.dumps({"v1": v1, "v2": v2}))
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def weights(proxy):
    return [r["traffic"] for r in call(proxy, "GET", "/api/v1/models/echo")[1]["revisions"]]


def warmed(proxy, result, revision="v2"):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = re.search(rf'sluice_warm_requests_total{{model="echo",revision="{revision}",result="{result}"}} (\d+)', text)
    return int(found.group(1)) if found else 0


def messages(proxy, kind="cache"):
    return [e["message"] for e in call(proxy, "GET", "/api/v1/events")[1]["events"] if e["kind"] == kind]


class Load:
    """Callers that ask Zipf-distributed questions one after the other, and what became of each."""

    def __init__(self, proxy, callers=4, pause=0.002):
        self.proxy, self.pause, self.over = proxy, pause, threading.Event()
        self.seen, self.failures = [], []
        self.threads = [threading.Thread(target=self._call, args=[seed]) for seed in range(callers)]
        for thread in self.threads:
            thread.start()

    def _call(self, seed):
        chance = random.Random(seed)
        connection = http.client.HTTPConnection(self.proxy.address, timeout=10)
        while not self.over.is_set():
            number = bisect.bisect(SUMS, chance.random() * SUMS[-1])
            connection.request("POST", V2, v2(number), {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                self.failures.append(answer.status)
            self.seen.append((time.monotonic(), "hit" in answer.headers["cache-status"].split(";")[1],
                              answer.headers.get("x-sluice-revision")))
            self.over.wait(self.pause)
        connection.close()

    def wait(self, count):
        """Waits for so many more answers; returns how many of them were hits."""
        start = len(self.seen)
        until(lambda: len(self.seen) >= start + count, timeout=120,
              what=lambda: f"only {len(self.seen) - start} of {count} answers came")
        part = self.seen[start:start + count]
        return sum(hit for _, hit, _ in part) / count

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def after_the_shift(warm):
    first, second = model("--delay", "5ms"), model("--delay", "5ms", "--revision", "v2")
    proxy = gateway(two(first, second))
    load = Load(proxy)
    load.wait(6000)
    steady = load.wait(2000)
    code, answer = shift(proxy, 0, 100, f"?warm={warm}")
    assert code == 200, answer
    after = load.wait(1000)
    load.stop()
    assert not load.failures, load.failures[:5]
    counts = {result: warmed(proxy, result) for result in ("answered", "failed", "skipped")}
    metrics = get(proxy.admin, "/metrics")[2].decode()
    asked = sum(int(n) for n in re.findall(r"sluice_requests_total{[^}]*} (\d+)", metrics))
    assert asked == len(load.seen), f"{len(load.seen)} were sent, {asked} counted as clients' requests"
    looked = sum(int(n) for n in re.findall(r'sluice_cache_requests_total{model="echo",tier="memory"[^}]*(?:hit|miss)"} (\d+)', metrics))
    assert looked == len(load.seen), (looked, len(load.seen))
    events = messages(proxy)
    assert proxy.stop() == 0
    first.stop(), second.stop()
    return steady, after, counts, events


def a_shift_with_warm_up_is_not_felt():
    steady, after, counts, events = after_the_shift("true")
    print(f"      warm: steady {steady:.1%}, the 1,000 requests after the shift {after:.1%}, {counts}")
    assert after > steady - 0.05, (steady, after)
    assert counts["failed"] == 0 and counts["answered"] > 1000, counts
    assert re.fullmatch(r"warming echo v2: 1\d\d\d inputs at 1000/s", events[0]), events
    assert events[1] == f"warmed echo v2: {counts['answered']} answered, 0 failed, {counts['skipped']} were known", events
    steady, after, counts, events = after_the_shift("false")
    print(f"      cold: steady {steady:.1%}, the 1,000 requests after the shift {after:.1%}")
    assert after < steady - 0.15, f"there was no dip to be avoided: {steady} {after}"
    assert set(counts.values()) == {0} and not events, (counts, events)


def every_form_is_replayed_as_it_was_asked():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(two(first, second, cache="{ttl: 5m, warm: {}}"))
    raw = struct.pack("<4f", 9, 8, 7, 6)
    header = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4],
                                     "parameters": {"binary_data_size": 16}}]}).encode()

    def ask():
        states = [cache.ask(proxy.address, v2(1))[0],
                  cache.ask(proxy.address, b'{"instances": [[1, 2.0, 3, 4]]}', V1)[0],
                  cache.ask(proxy.address, header + raw, **{"inference-header-content-length": str(len(header)),
                                                           "content-type": "application/octet-stream"})[0]]
        cache.ask_grpc(proxy.address, data=[4, 4, 4, 4])
        return states

    ask()
    asked = predictions(first)
    assert asked == 4
    code, answer = shift(proxy, 0, 100)
    assert code == 200 and "4 answered, 0 failed" in answer["notes"][0], answer
    assert predictions(second) == 4
    assert all(state.startswith("sluice; hit") for state in ask())
    assert predictions(second) == 4 and predictions(first) == asked
    # Again: the revision is warm, so nothing is asked.
    code, answer, _ = call(proxy, "POST", "/api/v1/models/echo/revisions/v2/warm")
    assert code == 200 and (answer["answered"], answer["skipped"], answer["state"]) == (0, 4, "warm"), answer
    assert call(proxy, "GET", "/api/v1/models/echo/revisions/v2/warm")[1] == answer
    assert call(proxy, "POST", "/api/v1/models/echo/revisions/v9/warm")[0] == 404
    assert proxy.stop() == 0
    first.stop(), second.stop()


def rows_are_replayed_in_the_requests_they_came_in():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(two(first, second, cache="{ttl: 5m, rows: true, warm: {}}"))

    def batch(*numbers):
        return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [len(numbers), 1],
                                       "data": numbers}]}).encode()

    for numbers in ((1, 2, 3), (4, 5), (3, 4)):
        cache.ask(proxy.address, batch(*numbers))
    code, answer = shift(proxy, 0, 100)
    # The last one's rows are known when it is its turn, if the others went before.
    assert code == 200 and "0 failed" in answer["notes"][0], answer
    asked = predictions(second)
    assert asked in (2, 3), asked
    status, _ = cache.ask(proxy.address, batch(5, 1, 4, 2, 3))
    assert status.startswith("sluice; hit") and status.endswith("detail=rows:5/5"), status
    assert predictions(second) == asked
    metrics = get(proxy.admin, "/metrics")[2].decode()
    rows = sum(int(n) for n in re.findall(r'sluice_cache_rows_total{model="echo",result="(?:hit|miss)"} (\d+)', metrics))
    assert rows == 3 + 2 + 2 + 5, f"{rows} rows are counted, {12} were callers'"
    assert proxy.stop() == 0
    first.stop(), second.stop()


def the_command_waits_with_the_shift_or_does_not():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(two(first, second, cache="{ttl: 5m, warm: {top: 100, rate: 20/s}}"))
    for number in range(20):
        assert get(proxy.address, V2, v2(number))[0] == 200

    def traffic(*arguments):
        return subprocess.run([processes.SLUICE, "traffic", "echo", *arguments, "--admin", f"http://{proxy.admin}"],
                              capture_output=True, text=True, timeout=60)

    done = traffic("v1=0", "v2=100")
    assert done.returncode == 0 and "20 answered, 0 failed" in done.stderr, (done.stdout, done.stderr)
    assert weights(proxy) == [0, 100] and "warming" not in done.stderr, "a progress line is for terminals"
    assert get(proxy.admin, "/api/v1/models/echo/cache?revision=v1", method="DELETE")[0] == 200
    done = traffic("--reset", "--no-warm")
    assert done.returncode == 0 and weights(proxy) == [100, 0] and warmed(proxy, "answered", "v1") == 0, done.stderr
    assert proxy.stop() == 0
    first.stop(), second.stop()


def a_second_shift_takes_the_place_of_one_that_warms():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(two(first, second, cache="{ttl: 10m, warm: {top: 500, rate: 1/s}}"))
    for number in range(60):
        assert get(proxy.address, V2, v2(number))[0] == 200
    results = []

    def later(*arguments):
        thread = threading.Thread(target=lambda: results.append(shift(proxy, *arguments)))
        thread.start()
        return thread

    waiting = later(0, 100)
    until(lambda: warmed(proxy, "answered") >= 1)
    assert weights(proxy) == [100, 0], "nothing moves before it is warm"
    assert 'sluice_warm_remaining{model="echo",revision="v2"}' in get(proxy.admin, "/metrics")[2].decode()
    state = call(proxy, "GET", "/api/v1/models/echo/revisions/v2/warm")[1]
    assert state["state"] == "warming" and state["inputs"] == 60, state
    # Other changes aren't held up, and a dry run neither warms nor disturbs.
    assert shift(proxy, 50, 50, "?dryRun=true")[0] == 200
    assert call(proxy, "POST", "/api/v1/reload")[0] == 200
    code, answer = shift(proxy, 90, 10, "?warm=false")
    assert code == 200 and weights(proxy) == [90, 10], answer
    waiting.join()
    code, refusal = results.pop()
    assert code == 409 and "superseded by a shift of" in refusal["error"], refusal
    # Weight for who has some already: at once.
    assert shift(proxy, 0, 100)[0] == 200
    # Back, and cancelled: v1 was asked all this lately, so it takes new inputs to have work.
    for number in range(100, 160):
        assert get(proxy.address, V2, v2(number))[0] == 200
    waiting = later(100, 0)
    until(lambda: warmed(proxy, "answered", "v1") >= 1)
    code, answer, _ = call(proxy, "DELETE", "/api/v1/models/echo/revisions/v1/warm")
    assert code == 200 and answer["state"] == "cancelled", answer
    waiting.join()
    assert results.pop()[0] == 409 and weights(proxy) == [0, 100]
    # A rollout warms before its first step; aborting it doesn't wait for that.
    assert shift(proxy, 100, 0, "?warm=false")[0] == 200
    for number in range(200, 260):
        assert get(proxy.address, V2, v2(number))[0] == 200
    before = warmed(proxy, "answered")
    started = []
    thread = threading.Thread(target=lambda: started.append(
        call(proxy, "POST", "/api/v1/models/echo/canary", {"revision": "v2", "steps": [10, 100], "interval": "60s"})))
    thread.start()
    until(lambda: warmed(proxy, "answered") > before)
    assert weights(proxy) == [100, 0]
    code, answer, _ = call(proxy, "DELETE", "/api/v1/models/echo/canary")
    assert code == 200 and answer["status"] == "rolledBack", answer
    thread.join()
    assert weights(proxy) == [100, 0]
    assert proxy.stop() == 0
    first.stop(), second.stop()


@checks.patient
def a_revision_that_fails_its_warm_up_takes_no_weight():
    first, second = model(), model("--revision", "v2", "--fail-rate", "1")
    proxy = gateway(two(first, second, cache="{ttl: 5m, warm: {top: 500, rate: 500/s}}"))
    for number in range(50):
        assert get(proxy.address, V2, v2(number))[0] == 200
    code, answer = shift(proxy, 0, 100)
    assert code == 409 and "v2 failed 10 warm-up requests in a row" in answer["error"], answer
    assert weights(proxy) == [100, 0] and 10 <= warmed(proxy, "failed") <= 18
    assert "gave up warming echo v2" in messages(proxy)[-1]
    code, answer = shift(proxy, 0, 100, "?warm=false")
    assert code == 200 and weights(proxy) == [0, 100]
    # Nobody there at all: the shift is made as ever, with a note.
    assert shift(proxy, 100, 0, "?warm=false")[0] == 200
    second.stop(signal.SIGKILL)
    until(lambda: "0" in re.findall(r'sluice_backend_healthy{model="echo",revision="v2"[^}]*} (\d)', get(proxy.admin, "/metrics")[2].decode()))
    code, answer = shift(proxy, 50, 50)
    assert code == 200 and "no backend that answers" in answer["notes"][0], answer
    assert proxy.stop() == 0
    first.stop()


CHECKS = [
    a_shift_with_warm_up_is_not_felt,
    every_form_is_replayed_as_it_was_asked,
    rows_are_replayed_in_the_requests_they_came_in,
    the_command_waits_with_the_shift_or_does_not,
    a_second_shift_takes_the_place_of_one_that_warms,
    a_revision_that_fails_its_warm_up_takes_no_weight,
]
