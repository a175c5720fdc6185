"""More than a model, a caller's share or the process can take: refused at once, while what is accepted is served in time.

    Tests/run --only overload
    .build/venv/bin/python Tests/integration/run.py --binaries .build/release --only three_times_the_capacity
"""
import json
import socket
import threading
import time

import tritonclient.grpc

import processes
from cache import ask_grpc, v2
from open_loop import OpenLoop, quantile
from processes import Control, V1, Process, config, folder, gateway, get, model, until
from resilience import echo, entry, metric
from slow_clients import PREFACE, frame, literal

PREDICT = "/v1/models/echo:predict"
INFER = "/v2/models/echo/infer"


def post(path, body):
    return b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(body), body)


def logged(proxy, why):
    """The access log's lines that say `why`; the log is written every now and then."""
    with open(proxy.access_log) as file:
        return [json.loads(line) for line in file if f'"why":"{why}"' in line]


def asks(proxy, count, **headers):
    return [get(proxy.address, PREDICT, V1, headers) for _ in range(count)]


def rates_are_limited_by_model_caller_and_address():
    backend = model()
    limits = "[{rate: 30/h, burst: 12, per: {header: x-key}}, {rate: 60/h, burst: 20, per: client}]"
    proxy = gateway(config([echo(entry(backend.address), rateLimit=limits, cache="{ttl: 60s}")]))
    before = len(logged(proxy, "rate_limited"))
    # Answers from the cache count as well.
    assert [code for code, _, _ in asks(proxy, 13, **{"x-key": "a"})] == [200] * 12 + [429]
    code, fields, body = asks(proxy, 1, **{"x-key": "a"})[0]
    assert code == 429 and 100 < int(fields["retry-after"]) <= 120, fields
    sentence = json.loads(body)["error"]
    assert sentence.startswith("model 'echo' takes 30/h requests with the same x-key (rateLimit); try again in "), sentence
    # What one limit turned away costs the other nothing: 8 of 20 are left for this address.
    assert [code for code, _, _ in asks(proxy, 9, **{"x-key": "b"})] == [200] * 8 + [429]
    code, fields, body = asks(proxy, 1, **{"x-key": "c", "x-forwarded-for": "203.0.113.9"})[0]
    assert code == 429 and "from one address" in json.loads(body)["error"], body
    assert int(fields["retry-after"]) <= 60, fields
    # A reload that doesn't change a limit forgives nothing; one that changes it begins anew.
    with open(proxy.config) as file:
        text = file.read()
    for old, new, expected in ((" cache:", " timeout: 9s, cache:", 429), ("60/h", "61/h", 200)):
        text = text.replace(old, new)
        generation = metric(proxy, "sluice_config_reloads_total", result="success")
        gateway_text = text
        with open(proxy.config, "w") as file:
            file.write(gateway_text)
        until(lambda: metric(proxy, "sluice_config_reloads_total", result="success") > generation)
        assert asks(proxy, 1, **{"x-key": "d"})[0][0] == expected, new
    try:
        with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
            for _ in range(30):
                ask_grpc(proxy.address)
        raise AssertionError("30 calls passed a burst of 20")
    except tritonclient.utils.InferenceServerException as error:
        assert "RESOURCE_EXHAUSTED" in error.status() and "try again in" in error.message(), error
    assert metric(proxy, "sluice_rejected_total", model="echo", revision="-", reason="rate_limit") == 6
    assert metric(proxy, "sluice_rate_limit_keys", model="echo") == 6
    # Readiness and what the gateway answers by itself are nobody's share.
    assert get(proxy.address, "/v2/models/echo/ready")[0] == 200
    assert proxy.stop() == 0
    assert len(logged(proxy, "rate_limited")) - before == 6
    backend.stop()


def figures(name, load, seconds):
    good, refused = load.times(200), load.times(503)
    print(f"      {name}: {load.sent / seconds:.0f}/s sent, {len(good) / seconds:.0f}/s served "
          f"(p50 {quantile(good, .5) * 1e3:.1f} ms, p99 {quantile(good, .99) * 1e3:.1f} ms), "
          f"{len(refused) / seconds:.0f}/s refused (p50 {quantile(refused, .5) * 1e3:.2f} ms, "
          f"p99 {quantile(refused, .99) * 1e3:.2f} ms)", flush=True)
    return good, refused


def three_times_the_capacity():
    """What comes at 3 times the rate of four places of 10 ms each is refused, and soon.

    The sample model's timers tick in 8 ms, so that 10 are often 16, and the capacity is measured rather than 400/s."""
    seconds, deadline = 5, 0.25
    backend = model("--concurrency", "4", "--delay", "10ms")
    proxy = gateway(config([echo(entry(backend.address, maxInFlight=4), maxQueue=16, timeout=f"{int(deadline * 1000)}ms")]))
    before, turned_away = len(logged(proxy, "overflow")), 0
    # The client needs a core of its own as well: a busy machine gets more than one chance.
    for _ in range(3):
        # As many at once as there are places and a few in line keep it busy without a refusal.
        capacity = closed_loop(proxy, 10, 3)
        with Control() as control:
            load = OpenLoop(proxy.address, PREDICT, V1, 3 * capacity, seconds)
        good, refused = figures(f"capacity {capacity:.0f}/s", load, seconds)
        turned_away += len(refused)
        assert all(row[2] for row in load.rows if row[0] == 503), "each refusal says when to try again"
        assert metric(proxy, "sluice_rejected_total", model="echo", reason="queue_full") == turned_away
        least, latest = 0.9 * capacity / control.slowdown, control.allows(deadline)
        if len(good) / seconds >= least and quantile(good, .99) <= latest:
            break
    assert len(good) + len(refused) == load.sent, {row[0] for row in load.rows}
    assert len(good) / seconds >= least, f"{len(good) / seconds:.0f}/s of {capacity:.0f}/s"
    assert quantile(good, .99) <= latest, (quantile(good, .99), latest)
    assert quantile(refused, .5) < quantile(good, .5) / 2, "to refuse takes less time than to answer"
    assert proxy.stop() == 0, "".join(proxy.lines)
    # The gateway's own clock, which it reads once in each turn of its loop.
    own = sorted(line["duration_us"] / 1e6 for line in logged(proxy, "overflow")[before:])
    assert len(own) == turned_away and quantile(own, .99) < 0.001, quantile(own, .99)
    print(f"      refusals by the access log: p50 {quantile(own, .5) * 1e3:.3f} ms, p99 {quantile(own, .99) * 1e3:.3f} ms")
    backend.stop()


def closed_loop(proxy, callers, seconds):
    """Answers a second to callers who ask one after the other."""
    counts, end = [0] * callers, time.monotonic() + seconds

    def run(number):
        host, port = proxy.address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            while time.monotonic() < end:
                client.sendall(post(PREDICT, V1))
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
                counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(callers)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    return sum(counts) / seconds


def concurrency_is_learnt_where_nobody_has_configured_it():
    seconds = 8
    backend = model("--concurrency", "4", "--delay", "40ms")
    proxy = gateway(config([echo(entry(backend.address), adaptiveConcurrency="{min: 2, max: 200}")]))
    assert metric(proxy, "sluice_concurrency_limit", model="echo", revision="v1") == 2
    before = len(logged(proxy, "overload"))
    with Control() as control:
        load = OpenLoop(proxy.address, PREDICT, V1, 300, seconds)
    good, refused = figures("adaptive, capacity at most 100/s", load, seconds)
    limit = metric(proxy, "sluice_concurrency_limit", model="echo", revision="v1")
    print(f"      the limit went from 2 to {limit:.0f}; the model takes 4 at once")
    assert 4 <= limit <= 20, limit
    assert len(good) + len(refused) == load.sent, {row[0] for row in load.rows}
    # Without a limit 1,600 requests would wait at the model in the end, for 16 s.
    allowed = min(seconds, control.allows(0.5))
    assert quantile(good, .99) < allowed, (quantile(good, .99), allowed)
    assert metric(proxy, "sluice_rejected_total", model="echo", revision="v1", reason="overload") == len(refused)
    assert proxy.stop() == 0
    assert len(logged(proxy, "overload")) - before == len(refused)
    backend.stop()


def little_memory_is_for_those_who_are_here():
    backend = model()
    limits = "limits: {maxMemory: 64MiB, maxRequestBytes: 128MiB}"
    row = f"  - {{name: echo, timeout: 60s, revisions: [{{name: v1, backends: [{{grpc: 'http://{backend.address}'}}]}}]}}"
    proxy = gateway(config([row], limits))
    host, port = proxy.address.split(":")

    def predict(client):
        client.sendall(post(INFER, v2()))
        return client.recv(1 << 16)

    with socket.create_connection((host, int(port)), timeout=30) as large, \
            socket.create_connection((host, int(port)), timeout=30) as resting:
        assert predict(resting).startswith(b"HTTP/1.1 200")
        # HTTP/2 connections with a stream open stay, and so hear the refusal.
        busy = open_stream(host, port)
        # What is translated is held whole; this request never ends.
        large.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (INFER.encode(), 100 << 20))
        for _ in range(80):
            large.sendall(b" " * (1 << 20))
        proxy.wait_for(r"memory is short: new requests are refused")
        assert metric(proxy, "sluice_memory_pressure") == 2
        assert resting.recv(100) == b"", "a connection that rests is closed"
        status = new_stream(busy, 3)
        assert b"503" in status, status
        with socket.create_connection((host, int(port)), timeout=10) as newcomer:
            newcomer.settimeout(0.5)
            try:
                assert not predict(newcomer), "nobody is let in"
            except TimeoutError:
                pass
            large.close()
            busy.close()
            newcomer.settimeout(20)
            # Who waited at the door is served as soon as there is room again.
            assert newcomer.recv(1 << 16).startswith(b"HTTP/1.1 200")
    proxy.wait_for(r"memory is below limits.maxMemory again")
    assert metric(proxy, "sluice_memory_pressure") == 0
    assert metric(proxy, "sluice_rejected_total", model="echo", revision="-", reason="overload") == 1
    assert proxy.stop() == 0
    backend.stop()


def open_stream(host, port):
    """An HTTP/2 connection with a prediction begun on stream 1 that doesn't end."""
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(PREFACE + frame(4, 0, 0, b"") + frame(1, 4, 1, predict_head()))
    # A client that leaves the settings unacknowledged is cut off (RFC 9113, 6.5.3), on a slow machine before it is
    # needed here.
    assert client.recv(1 << 16)[3] == 4, "the first frame is SETTINGS"
    client.sendall(frame(4, 1, 0, b""))
    return client


def predict_head():
    return (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":authority", b"x")
            + literal(b":path", INFER.encode()))


def new_stream(client, number):
    """The head of the answer to a prediction on a stream of its own."""
    client.sendall(frame(1, 4, number, predict_head()) + frame(0, 1, number, v2()))
    data = b""
    while True:
        piece = client.recv(1 << 16)
        assert piece, f"the connection ended: {data}"
        data += piece
        position = 0
        while position + 9 <= len(data):
            length = int.from_bytes(data[position:position + 3], "big")
            if position + 9 + length > len(data):
                break
            if data[position + 3] == 1 and int.from_bytes(data[position + 5:position + 9], "big") == number:
                return data[position + 9:]
            position += 9 + length


def few_descriptors_are_kept_for_backends_and_operators():
    backend = model()
    path = f"{folder}/few.yaml"
    with open(path, "w") as file:
        file.write(config([echo(entry(backend.address))], "workers: 1"))
    proxy = Process("bash", "-c", f"ulimit -n 128; exec {processes.SLUICE} serve --config {path}")
    proxy.admin = proxy.wait_for(r"admin listening address=(\S+)")
    proxy.address = proxy.wait_for(r" listening address=(\S+) tls=off")
    proxy.wait_for(r"few file descriptors: fewer connections than limits.maxConnections.* maxConnections=32")
    until(lambda: get(proxy.admin, "/readyz")[0] == 200)
    host, port = proxy.address.split(":")
    crowd = [socket.create_connection((host, int(port)), timeout=10) for _ in range(120)]
    until(lambda: metric(proxy, "sluice_connections_refused_total") == 120 - 32)
    ask = post(PREDICT, V1)
    # All who were let in are served at the same time, each over a connection of its own to the backend.
    served = 0
    for client in crowd:
        try:
            client.sendall(ask)
        except ConnectionError:
            pass
    for client in crowd:
        try:
            served += client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            pass
    assert served == 32, served
    assert metric(proxy, "process_open_fds") < 128
    [client.close() for client in crowd]
    until(lambda: get(proxy.address, PREDICT, V1)[0] == 200)
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [
    rates_are_limited_by_model_caller_and_address,
    three_times_the_capacity,
    concurrency_is_learnt_where_nobody_has_configured_it,
    little_memory_is_for_those_who_are_here,
    few_descriptors_are_kept_for_backends_and_operators,
]
