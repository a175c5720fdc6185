"""Backends that fail, hang, fill up or refuse, as callers see them: as little as possible.

    Tests/run --only one_failing_backend_draws_little
"""
import collections
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time

import numpy
import tritonclient.grpc

from backends import Recorder, Refuser
from processes import Control, V1, config, folder, gateway, get, model, one, predictions, until

PREDICT = "/v1/models/echo:predict"


def entry(address, scheme="http", **keys):
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"{{rest: '{scheme}://{address}'{more}}}"


def echo(*entries, **keys):
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"  - {{name: echo{more}, revisions: [{{name: v1, backends: [{', '.join(entries)}]}}]}}"


def metric(proxy, name, **labels):
    """The sum of a family's samples that have these labels."""
    total = 0
    for line in get(proxy.admin, "/metrics")[2].decode().splitlines():
        found = re.match(rf"{name}(?:{{(.*)}})? (\S+)$", line)
        if found and all(f'{key}="{value}"' in (found.group(1) or "") for key, value in labels.items()):
            total += float(found.group(2))
    return total


def load(proxy, count, *flags, clients=4, streams=16, path=PREDICT):
    body = f"{folder}/resilience.json"
    with open(body, "wb") as file:
        file.write(V1)
    return subprocess.run(
        ["h2load", "-n", str(count), "-c", str(clients), "-m", str(streams), "-d", body, *flags,
         f"http://{proxy.address}{path}"], capture_output=True, text=True, timeout=120).stdout


def health(proxy, address):
    models = json.loads(get(proxy.admin, "/api/v1/models")[2])["models"]
    return next(b["health"] for b in models[0]["revisions"][0]["backends"] if b["address"] == address)


class Callers:
    """Threads that ask one after the other and note when, how long and what came of it."""

    def __init__(self, proxy, count, path=PREDICT):
        self.rows, self.going = [], True
        self.threads = [threading.Thread(target=self.run, args=(proxy, path)) for _ in range(count)]
        [thread.start() for thread in self.threads]

    def run(self, proxy, path):
        while self.going:
            began = time.monotonic()
            code = get(proxy.address, path, V1)[0]
            self.rows.append((began, time.monotonic() - began, code))

    def stop(self):
        self.going = False
        [thread.join() for thread in self.threads]
        return self.rows


def p99(durations):
    ranked = sorted(durations)
    return ranked[int(len(ranked) * 0.99)]


def one_failing_backend_draws_little():
    good, bad = [model("--delay", "5ms") for _ in range(3)], model("--fail-rate", "1")
    for streams in (1, 16, 64):
        proxy = gateway(config([one("echo", *[b.address for b in good], bad.address)]))
        load(proxy, 8000, streams=streams)
        drawn = metric(proxy, "sluice_backend_requests_total", backend=bad.address)
        total = metric(proxy, "sluice_backend_requests_total")
        assert total == 8000 and 0 < drawn < 0.02 * total, f"{drawn} of {total} with {streams} streams"
        # A failure that may be the input's own ejects nobody.
        assert metric(proxy, "sluice_backend_ejections_total") == 0
        assert health(proxy, bad.address) == "up"
        proxy.stop()
    [b.stop() for b in good], bad.stop()


def a_backend_that_cannot_serve_is_ejected_and_a_probe_brings_it_back():
    good, bad = [Recorder(delay=0.005) for _ in range(3)], Recorder(status=503)
    entries = [entry(b.address) for b in [*good, bad]]
    proxy = gateway(config([echo(*entries, health="{interval: 1h}")]))
    load(proxy, 4000)
    assert bad.count < 30, f"{bad.count} of 4000"
    assert metric(proxy, "sluice_backend_ejections_total", backend=bad.address, reason="unavailable") == 1
    assert health(proxy, bad.address) == "ejected"
    assert metric(proxy, "sluice_backend_healthy", backend=bad.address) == 0
    # The ejection survives a reload; one probe that succeeds ends it.
    proxy.child.send_signal(signal.SIGHUP)
    proxy.wait_for("configuration reloaded")
    assert health(proxy, bad.address) == "ejected"
    with open(proxy.config, "w") as file:
        file.write(config([echo(*entries, health="{interval: 200ms}")]))
    proxy.child.send_signal(signal.SIGHUP)
    proxy.wait_for("configuration reloaded", count=2)
    until(lambda: health(proxy, bad.address) == "up")
    bad.status = 200
    before = bad.count
    load(proxy, 2000)
    until(lambda: bad.count > before + 50, what=lambda: f"it got {bad.count - before} requests after its return")
    assert proxy.stop() == 0
    [b.stop() for b in [*good, bad]]


def the_last_backends_are_never_ejected():
    bad = [Recorder(status=503) for _ in range(2)]
    proxy = gateway(config([echo(*[entry(b.address) for b in bad], health="{interval: 1h}")]))
    for _ in range(60):
        assert get(proxy.address, PREDICT, V1)[0] == 503
    assert metric(proxy, "sluice_backend_ejections_total") == 1
    assert sorted(health(proxy, b.address) for b in bad) == ["ejected", "up"]
    assert metric(proxy, "sluice_panic") == 0
    assert proxy.stop() == 0
    [b.stop() for b in bad]


def one_hung_backend_costs_two_seconds_at_most():
    backends = [model("--delay", "5ms") for _ in range(4)]
    proxy = gateway(config([one("echo", *[b.address for b in backends], timeout="500ms")]))
    callers = Callers(proxy, 16)
    until(lambda: len(callers.rows) > 300)
    backends[0].child.send_signal(signal.SIGSTOP)
    until(lambda: any(code == 504 for _, _, code in callers.rows))
    first = min(began + took for began, took, code in callers.rows if code == 504)
    with Control() as control:
        until(lambda: callers.rows[-1][0] > first + 4)
    rows = callers.stop()
    quiet = p99([took for began, took, _ in rows if began < first - 0.6])
    later = [(took, code) for began, took, code in rows if began > first + 2]
    assert len(later) > 200 and all(code == 200 for _, code in later), collections.Counter(c for _, c in later)
    allowed = max(3 * quiet, control.allows(0.2))
    assert p99([took for took, _ in later]) < allowed, (quiet, p99([took for took, _ in later]), allowed)
    assert metric(proxy, "sluice_backend_ejections_total", backend=backends[0].address, reason="timeout") == 1
    backends[0].child.send_signal(signal.SIGCONT)
    until(lambda: health(proxy, backends[0].address) == "up")
    assert proxy.stop() == 0
    [b.stop() for b in backends]


def an_idempotent_model_hides_a_hung_backend():
    backends = [model("--delay", "5ms") for _ in range(4)]
    proxy = gateway(config([one("echo", *[b.address for b in backends], idempotent="true", tryTimeout="150ms")]))
    callers = Callers(proxy, 8)
    until(lambda: len(callers.rows) > 200)
    backends[0].child.send_signal(signal.SIGSTOP)
    until(lambda: metric(proxy, "sluice_retries_total", reason="timeout") > 0)
    count = len(callers.rows)
    until(lambda: len(callers.rows) > count + 500)
    rows = callers.stop()
    # Eight may be there when it stops; the budget lets three of them go elsewhere at a time.
    failed = [code for _, _, code in rows if code != 200]
    assert len(failed) <= 5, collections.Counter(failed)
    backends[0].child.send_signal(signal.SIGCONT)
    assert proxy.stop() == 0
    [b.stop() for b in backends]


def a_limit_holds_across_workers_reloads_and_resets():
    backends = [Recorder(delay=0.02), Recorder(delay=0.02)]
    text = config([echo(*[entry(b.address, maxInFlight=3) for b in backends], queueTimeout="30s", timeout="30s",
                        maxQueue="2000")], "workers: 2")
    proxy = gateway(text)
    host, port = proxy.address.split(":")
    going = True

    def reset():
        request = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (PREDICT.encode(), len(V1), V1)
        while going:
            with socket.create_connection((host, int(port)), timeout=10) as client:
                client.sendall(request)
                client.settimeout(0.01)  # while it waits in line, or while it is at work
                try:
                    client.recv(100)
                except TimeoutError:
                    pass

    threads = [threading.Thread(target=reset) for _ in range(8)]
    [thread.start() for thread in threads]
    results = []
    loader = threading.Thread(target=lambda: results.append(load(proxy, 1500, clients=8, streams=8)))
    loader.start()
    for number in range(1, 6):
        time.sleep(0.3)  # the pace of the reloads
        proxy.child.send_signal(signal.SIGHUP)
        proxy.wait_for("configuration reloaded", count=number)
    loader.join()
    going = False
    [thread.join() for thread in threads]
    assert "1500 succeeded, 0 failed" in results[0], results[0]
    assert [b.busiest for b in backends] == [3, 3], [b.busiest for b in backends]
    until(lambda: metric(proxy, "sluice_queue_depth") == 0 and metric(proxy, "sluice_backend_in_flight") == 0)
    assert metric(proxy, "sluice_queue_seconds_count") > 500
    assert proxy.stop() == 0
    [b.stop() for b in backends]


def the_line_is_bounded_and_who_leaves_it_reaches_no_backend():
    backend = Recorder(delay=1.0)
    proxy = gateway(config([echo(entry(backend.address, maxInFlight=1), maxQueue="2", queueTimeout="5s")]))
    host, port = proxy.address.split(":")

    def ask(body):
        client = socket.create_connection((host, int(port)), timeout=10)
        client.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (
            PREDICT.encode(), len(body), body))
        return client

    first = ask(b"first")
    until(lambda: backend.active == 1)
    second = ask(b"second")
    until(lambda: metric(proxy, "sluice_queue_depth") == 1)
    third = ask(b"third")
    until(lambda: metric(proxy, "sluice_queue_depth") == 2)
    # At once: those before it still wait, and the first answer has not come.
    code, headers, body = get(proxy.address, PREDICT, V1)
    assert code == 503 and headers["retry-after"] == "1" and b"maxQueue" in body, (code, headers, body)
    second.close()
    until(lambda: metric(proxy, "sluice_queue_depth") == 1)
    assert b" 200 " in first.recv(1000) and b" 200 " in third.recv(1000)
    assert backend.bodies == [b"first", b"third"], backend.bodies
    assert metric(proxy, "sluice_rejected_total", reason="queue_full") == 1
    assert proxy.stop() == 0
    backend.stop()


def waiting_in_line_ends_with_the_lines_time_or_the_callers():
    backend = model("--delay", "1s")
    both = f"{{rest: 'http://{backend.address}', grpc: 'http://{backend.address}', maxInFlight: 1}}"
    proxy = gateway(config([echo(both, queueTimeout="300ms")]))
    holder = threading.Thread(target=lambda: get(proxy.address, PREDICT, V1))
    holder.start()
    until(lambda: metric(proxy, "sluice_backend_in_flight") == 1)
    code, _, body = get(proxy.address, PREDICT, V1)
    assert code == 503 and b"queueTimeout" in body, (code, body)
    tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
    tensor.set_data_from_numpy(numpy.array([[1, 2, 3, 4]], dtype=numpy.float32))
    try:
        tritonclient.grpc.InferenceServerClient(proxy.address).infer("echo", [tensor], client_timeout=0.1)
        assert False, "a caller with 100 ms got an answer of a second"
    except tritonclient.utils.InferenceServerException as error:
        assert "DEADLINE_EXCEEDED" in str(error), error
    holder.join()
    assert predictions(backend) == 1, predictions(backend)
    until(lambda: metric(proxy, "sluice_rejected_total", reason="queue_timeout") >= 1)
    assert metric(proxy, "sluice_queue_depth") == 0
    assert proxy.stop() == 0
    with open(proxy.access_log) as file:
        assert any('"why":"overflow"' in line for line in file)
    backend.stop()


def what_a_backend_refused_untouched_goes_elsewhere():
    good = model()
    for manner in ("refuse", "leave"):
        refuser = Refuser(manner)
        proxy = gateway(config([echo(entry(good.address, "h2c"), entry(refuser.address, "h2c"),
                                     loadBalancing="roundRobin", health="{interval: 1h}",
                                     outlier="{panicPercent: 0}")], "workers: 1"))
        before = refuser.count
        for number in range(48):
            # What is kept lies beside the flow up to 128 bytes, and in a buffer beyond.
            text = "x" * (0, 60, 110, 20_000)[number // 2 % 4]
            body = json.dumps({"instances": [text, number]}).encode()
            # By threes, so that both kinds meet both backends: in chunks, each of which comes by itself.
            pieces = [body[:20], body[20:70], body[70:]] if number % 3 == 0 else [body]
            client = http.client.HTTPConnection(proxy.address, timeout=30)
            client.request("POST", PREDICT, iter(pieces), encode_chunked=True,
                           headers={"transfer-encoding": "chunked", "content-type": "application/json"})
            answer = client.getresponse()
            predictions = json.loads(answer.read())["predictions"]
            assert answer.status == 200 and predictions == [text, number], (answer.status, predictions)
            assert answer.headers["x-sluice-backend"] == good.address
            client.close()
        assert refuser.count > before, "the refuser was never asked"
        assert metric(proxy, "sluice_retries_total", reason="refused") >= refuser.count - before - 1
        assert proxy.stop() == 0
        refuser.stop()
    good.stop()


def what_may_have_reached_a_model_goes_again_only_if_it_is_idempotent():
    for failure in ("status", "hangs_up"):
        for isIdempotent in (False, True):
            good, bad = Recorder(), Recorder()
            setattr(bad, failure, 503 if failure == "status" else True)
            keys = {"idempotent": "true"} if isIdempotent else {}
            proxy = gateway(config([echo(entry(good.address), entry(bad.address), loadBalancing="roundRobin",
                                         health="{interval: 1h}", outlier="{consecutiveFailures: 0}", **keys)],
                                   "workers: 1"))
            codes = [get(proxy.address, PREDICT, b"%d" % number)[0] for number in range(20)]
            counts = collections.Counter(good.bodies + bad.bodies)
            if isIdempotent:
                assert codes == [200] * 20, codes
                assert len(counts) == 20 and all(b"%d" % n in good.bodies for n in range(20)), counts
                reason = "unavailable" if failure == "status" else "reset"
                assert metric(proxy, "sluice_retries_total", reason=reason) == bad.count > 5
            else:
                assert all(count == 1 for count in counts.values()), counts
                assert codes.count(503 if failure == "status" else 502) == bad.count > 5, codes
                assert metric(proxy, "sluice_retries_total") == 0
            assert proxy.stop() == 0
            good.stop(), bad.stop()


def unavailable_over_grpc_goes_elsewhere_if_the_model_is_idempotent():
    for isIdempotent in (False, True):
        good, bad = model(), Refuser("fail")
        both = [f"{{rest: 'h2c://{b.address}', grpc: 'http://{b.address}'}}" for b in (good, bad)]
        keys = {"idempotent": "true"} if isIdempotent else {}
        proxy = gateway(config([echo(*both, loadBalancing="roundRobin", health="{interval: 1h}",
                                     outlier="{consecutiveFailures: 0}", **keys)], "workers: 1"))
        tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
        tensor.set_data_from_numpy(numpy.array([[1, 2, 3, 4]], dtype=numpy.float32))
        outcomes = collections.Counter()
        with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
            for _ in range(20):
                try:
                    client.infer("echo", [tensor])
                    outcomes["OK"] += 1
                except tritonclient.utils.InferenceServerException as error:
                    outcomes[f"{error.status()} {error.message()}"] += 1
        assert bad.count > 5
        if isIdempotent:
            assert outcomes == {"OK": 20}, outcomes
            assert metric(proxy, "sluice_retries_total", reason="unavailable") == bad.count
        else:
            assert outcomes == {"OK": 20 - bad.count, "StatusCode.UNAVAILABLE not now": bad.count}, outcomes
        assert metric(proxy, "sluice_backend_requests_total", backend=bad.address, code="UNAVAILABLE") == bad.count
        assert proxy.stop() == 0
        good.stop(), bad.stop()


def retries_have_a_budget():
    bad = [Recorder(delay=0.05, status=503) for _ in range(3)]
    proxy = gateway(config([echo(*[entry(b.address) for b in bad], idempotent="true",
                                 outlier="{consecutiveFailures: 0}")]))
    load(proxy, 1500, clients=4, streams=16)
    asked = sum(b.count for b in bad)
    # A fifth of 64, where each failed request would like to go again.
    assert 1500 < asked < 1500 * 1.45, asked
    assert metric(proxy, "sluice_retry_budget_exhausted_total") > 0
    assert proxy.stop() == 0
    [b.stop() for b in bad]


def keys_stay_and_weights_count():
    backends = [model() for _ in range(3)]
    proxy = gateway(config([one("echo", *[b.address for b in backends], loadBalancing="ringHash",
                                hashOn="{header: x-session}")]))
    homes = collections.defaultdict(set)
    for number in range(150):
        session = f"s{number % 30}"
        homes[session].add(get(proxy.address, PREDICT, V1, {"x-session": session})[1]["x-sluice-backend"])
    assert all(len(places) == 1 for places in homes.values()), homes
    assert len(set.union(*homes.values())) == 3
    assert proxy.stop() == 0
    for balancing in ("leastRequest", "roundRobin"):
        entries = [entry(b.address, weight=weight) for b, weight in zip(backends, (6, 3, 0))]
        proxy = gateway(config([echo(*entries, loadBalancing=balancing)]))
        for _ in range(300):
            get(proxy.address, PREDICT, V1)
        drawn = [metric(proxy, "sluice_backend_requests_total", backend=b.address) for b in backends]
        assert sum(drawn) == 300 and drawn[2] == 0 and 160 < drawn[0] < 240, drawn
        assert proxy.stop() == 0
    [b.stop() for b in backends]


CHECKS = [one_failing_backend_draws_little, a_backend_that_cannot_serve_is_ejected_and_a_probe_brings_it_back,
          the_last_backends_are_never_ejected, one_hung_backend_costs_two_seconds_at_most,
          an_idempotent_model_hides_a_hung_backend, a_limit_holds_across_workers_reloads_and_resets,
          the_line_is_bounded_and_who_leaves_it_reaches_no_backend,
          waiting_in_line_ends_with_the_lines_time_or_the_callers, what_a_backend_refused_untouched_goes_elsewhere,
          what_may_have_reached_a_model_goes_again_only_if_it_is_idempotent,
          unavailable_over_grpc_goes_elsewhere_if_the_model_is_idempotent, retries_have_a_budget,
          keys_stay_and_weights_count]
