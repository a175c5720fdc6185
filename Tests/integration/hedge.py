"""Second copies of slow requests, one client's connections, and silent backends, between real processes.

    Tests/run --only a_slow_backend_is_hedged
"""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import numpy
import tritonclient.grpc

import processes
from backends import Recorder
import checks
from processes import Control, V1, config, gateway, get, model, one, until
from resilience import metric

PREDICT = "/v1/models/iris:predict"
KEYS = {"idempotent": "true", "hedge": "{delay: 60ms}", "loadBalancing": "roundRobin"}


def hedges(proxy, result):
    return metric(proxy, "sluice_hedges_total", result=result)


def infer(proxy):
    with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
        tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
        tensor.set_data_from_numpy(numpy.array([[5.1, 3.5, 1.4, 0.2]], dtype=numpy.float32))
        return client.infer("iris", [tensor]).as_numpy("probabilities")


def status(proxy):
    return subprocess.run([processes.SLUICE, "status", "--admin", f"http://{proxy.admin}"],
                          capture_output=True, text=True, timeout=20).stdout


def limits_are_where_an_operator_looks():
    backend = model()
    proxy = gateway(config([one("iris", backend.address, rateLimit="[{rate: 5/s, per: client}, {rate: 900/s}]",
                                adaptiveConcurrency="{min: 3, max: 9}")], "workers: 1"))
    codes = [get(proxy.address, PREDICT, V1)[0] for _ in range(30)]
    assert codes.count(429) > 15, codes
    until(lambda: re.search(
        r"iris: rate limited to 5/s per client \(1 callers\), 900/s per model, [1-9]\S* turned away a second",
        status(proxy)), what=lambda: status(proxy))
    assert re.search(r"iris v1: 0 of [3-9] places in use \(adaptiveConcurrency\), 0 turned away", status(proxy))
    shown = json.loads(get(proxy.admin, "/api/v1/models/iris")[2])
    assert shown["rateLimits"][0] == {"rate": "5/s", "burst": 5, "per": "client", "callers": 1}, shown
    assert shown["hedge"] is None and shown["revisions"][0]["concurrency"]["inUse"] == 0
    # Who has none of this is told nothing of it.
    assert proxy.stop() == 0
    plain = gateway(config([one("iris", backend.address)], "workers: 1"))
    assert len(status(plain).strip().splitlines()) == 2, status(plain)
    assert plain.stop() == 0
    backend.stop()


def a_slow_backend_is_hedged():
    slow, quick = model("--delay", "2s"), model()
    proxy = gateway(config([one("iris", slow.address, quick.address, **KEYS)], "workers: 1"))
    # In turn, whatever copies there are: every other begins at the slow one. None takes as long as the slow one.
    for ask in [lambda: get(proxy.address, PREDICT, V1)[0] == 200] * 6 + [lambda: infer(proxy) is not None] * 4:
        assert ask()
    # Each that began at the slow one was answered by the copy.
    won = hedges(proxy, "won")
    assert won == 5, won
    assert metric(proxy, "sluice_backend_in_flight") == 0
    # Each of these is counted as what it was: cancelled.
    cancelled = sum(metric(proxy, "sluice_backend_requests_total", backend=slow.address, code=code)
                    for code in ("499", "CANCELLED"))
    assert cancelled == won, (cancelled, won)
    # The numbers of now are read once a second.
    until(lambda: re.search(
        r"iris v1: \S+ requests a second sent twice, after 60.0 ms, 100 % of the copies won", status(proxy)))
    # What is left of the log is written at the end.
    assert proxy.stop() == 0
    with open(proxy.access_log) as file:
        lines = [json.loads(line) for line in file]
    answered = [line for line in lines if line.get("backend") == quick.address]
    assert sum(line["attempts"] == 2 for line in answered) == won, lines
    slow.stop(), quick.stop()


def equal_requests_share_a_hedged_call_and_its_answer_is_kept():
    slow, quick = Recorder(delay=2), Recorder(delay=0.2)
    rows = ", ".join(f"{{rest: 'http://{b.address}'}}" for b in (slow, quick))
    keys = "".join(f", {key}: {value}" for key, value in KEYS.items())
    proxy = gateway(config(
        [f"  - {{name: iris, cache: {{ttl: 60s}}{keys}, revisions: [{{name: v1, backends: [{rows}]}}]}}"],
        "workers: 1"))
    for number in range(4):
        body = b'{"instances":[[%d]]}' % number
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(get(proxy.address, PREDICT, body)))
                   for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert [status for status, _, _ in answers] == [200] * 4, answers
        assert get(proxy.address, PREDICT, body)[1]["cache-status"].startswith("sluice; hit")
    # Every other began at the slow backend, and each was copied once for all who waited.
    assert (hedges(proxy, "won"), hedges(proxy, "lost")) == (2, 2)
    assert (slow.count, quick.count) == (4, 4), (slow.count, quick.count)
    assert metric(proxy, "sluice_cache_requests_total", result="collapsed") == 12
    assert proxy.stop() == 0
    slow.stop(), quick.stop()


def draining_waits_for_no_loser():
    slow, quick = model("--delay", "30s"), model("--delay", "300ms")
    proxy = gateway(config([one("iris", slow.address, quick.address, timeout="20s", **KEYS)],
                           "workers: 1\ndrainTimeout: 15s"))
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(get(proxy.address, PREDICT, V1)[0])) for _ in range(2)]
    [thread.start() for thread in threads]
    until(lambda: metric(proxy, "sluice_backend_in_flight") == 4)
    began = time.monotonic()
    with Control() as control:
        assert proxy.stop() == 0
        [thread.join() for thread in threads]
    # Waiting for the losers takes until drainTimeout.
    took, allowed = time.monotonic() - began, min(14, control.allows(5))
    assert statuses == [200, 200] and took < allowed, (statuses, took, allowed)
    slow.stop(), quick.stop()


def one_address_has_its_connections():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)], "workers: 2\nlimits: {maxConnectionsPerAddress: 5}"))
    host, port = proxy.address.split(":")

    def connect(source):
        return socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))

    def is_closed(client):
        client.settimeout(5)
        try:
            return client.recv(1) == b""
        except ConnectionError:
            return True

    # All workers together: each has a socket of its own.
    ask = (f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(V1)}\r\n\r\n").encode() + V1
    crowd = [connect("127.0.0.2") for _ in range(12)]
    until(lambda: metric(proxy, "sluice_connections_refused_total", reason="address") == 7)
    served = refused = 0
    for client in crowd:
        try:
            client.sendall(ask)
            if client.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                served += 1
            else:
                refused += 1
        except ConnectionError:
            refused += 1
    assert (served, refused) == (5, 7), (served, refused)
    # Somebody else is served as ever.
    other = connect("127.0.0.3")
    other.sendall(ask)
    assert other.recv(1 << 16).startswith(b"HTTP/1.1 200")
    [client.close() for client in crowd]
    until(lambda: metric(proxy, "sluice_connections") == 1)
    again = connect("127.0.0.2")
    again.sendall(ask)
    assert again.recv(1 << 16).startswith(b"HTTP/1.1 200")
    again.close(), other.close()
    assert proxy.stop() == 0
    backend.stop()


def those_at_rest_make_room():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)], "workers: 1\nlimits: {maxConnections: 64}"))
    host, port = proxy.address.split(":")
    ask = (f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(V1)}\r\n\r\n").encode() + V1

    def guest():
        client = socket.create_connection((host, int(port)), timeout=10)
        client.sendall(ask)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        return client

    guests = [guest() for _ in range(50)]
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 1.1)
    # The house never fills: the first who rest go, and all who come are served.
    guests += [guest() for _ in range(30)]
    shed = metric(proxy, "sluice_connections_shed_total")
    assert shed >= 16 and metric(proxy, "sluice_connections_refused_total") == 0, shed
    guests[0].settimeout(5)
    assert guests[0].recv(1) == b""
    [client.close() for client in guests]
    assert proxy.stop() == 0
    backend.stop()


@checks.patient
def a_backend_that_stands_still_is_found_out_by_ping():
    """Takes 40 s: the silence and the patience are what gRPC servers allow."""
    stuck = model()
    entry = f"{{rest: 'h2c://{stuck.address}'}}"
    proxy = gateway(config([f"  - {{name: iris, timeout: 90s, health: {{interval: 1h}}, "
                            f"revisions: [{{name: v1, backends: [{entry}]}}]}}"], "workers: 1"))
    assert get(proxy.address, PREDICT, V1)[0] == 200
    os.kill(stuck.child.pid, signal.SIGSTOP)
    host, port = proxy.address.split(":")
    client = socket.create_connection((host, int(port)), timeout=60)
    began = time.monotonic()
    client.sendall((f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(V1)}\r\n\r\n").encode() + V1)
    answer = client.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 502 ") and b"PING" in answer, answer
    # Not sooner; that it isn't later than the model's 90 s says the answer itself.
    assert time.monotonic() - began > 39, time.monotonic() - began
    assert metric(proxy, "sluice_backend_keepalive_timeouts_total", backend=stuck.address) == 1
    os.kill(stuck.child.pid, signal.SIGCONT)
    assert get(proxy.address, PREDICT, V1)[0] == 200
    client.close()
    assert proxy.stop() == 0
    stuck.stop()


CHECKS = [
    limits_are_where_an_operator_looks,
    a_slow_backend_is_hedged,
    equal_requests_share_a_hedged_call_and_its_answer_is_kept,
    draining_waits_for_no_loser,
    one_address_has_its_connections,
    those_at_rest_make_room,
    a_backend_that_stands_still_is_found_out_by_ping,
]
