"""Starts real processes on ports the kernel chooses and checks what users would see."""
import argparse
import contextlib
import http.server
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse

import numpy
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

import answers
import attacks
import cache
import callers
import chaos
import containers
import control
import cross_origin
import hedge
import logs
import manifests
import many_models
import mirror
import names
import observability
import overload
import page
import processes
import resilience
import rollout
import rows
import series
import slow_clients
import smuggling
import sockets
import split
import store
import takeover
import tls
import translation
import warm
from processes import (V1, Process, accepted, config, folder, gateway, get, model, one, predictions, resident, until)
from slow_clients import PREFACE, frame, http2_head, unread_connection

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--binaries", required=True)
parser.add_argument("--only")
parser.add_argument("--minutes", type=float, default=0, help="how long `chaos` goes on; by default each fault once")
options = parser.parse_args()
processes.use(options.binaries)
SLUICE, MODEL = processes.SLUICE, processes.MODEL
chaos.MINUTES = options.minutes

checks = []


def check(function):
    checks.append(function)
    return function


@check
def real_clients_get_the_backends_numbers():
    certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    backend = model()
    proxy = gateway(config([one("iris", backend.address), one("echo", backend.address)]).replace(
        "'127.0.0.1:0'}]", f"'127.0.0.1:0'}}, {{address: 'localhost:0', tls: {{certificate: {certificate}, privateKey: {key}}}}}]"))
    secure = proxy.wait_for(r"address=(\S+) tls=on").replace("127.0.0.1", "localhost").replace("[::1]", "localhost")
    addresses = ["--gateway", proxy.address, "--gateway-tls", secure, "--ca", certificate,
                 "--backend", backend.address, "--backend-grpc", backend.address]
    scripts = [os.path.join(HERE, "../clients", name) for name in ("check.py", "check_kserve.py")]
    failed = [script for script in scripts
              if subprocess.run([sys.executable, script, *addresses], timeout=240).returncode]
    assert not failed, f"see the lines that begin with FAIL, above, of {failed}"
    # Prometheus's own judge, and the access log's shape.
    metrics = get(proxy.admin, "/metrics")[2]
    subprocess.run(["promtool", "check", "metrics"], input=metrics, check=True)
    assert proxy.stop() == 0
    with open(f"{folder}/access.log") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) > 20 and all(row["time"] and row["duration_us"] >= 0 for row in rows)
    assert any(row.get("why") == "no_route" for row in rows)
    backend.stop()


@check
def the_demo_proves_itself():
    text = subprocess.run(
        [SLUICE, "demo", "--once", "--listen", "127.0.0.1:18480", "--admin", "127.0.0.1:0"],
        check=True, capture_output=True, text=True, timeout=60).stdout
    for words in ("REST V1 over HTTP/1.1", "REST V2 over HTTP/2", "gRPC ModelInfer", "sluice_requests_total"):
        assert words in text, text
    assert text.count("  v1  {") == 3 and text.count("  v2  {") == 3, text


@check
def predict_and_status_show_what_happened():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)]))
    base = [SLUICE, "predict", "iris", "--url", f"http://{proxy.address}", "--data"]
    v2 = '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}'
    for extra in ([V1.decode()], [v2], [v2, "--grpc"]):
        text = subprocess.run(base + extra, check=True, capture_output=True, text=True, timeout=30).stdout
        assert "0.98" in text and "revision v1" in text and " ms" in text, text
    failed = subprocess.run(
        [SLUICE, "predict", "nope", "--url", f"http://{proxy.address}", "--data", V1.decode()],
        capture_output=True, text=True, timeout=30)
    assert failed.returncode == 1 and "unknown model 'nope'; known: iris" in failed.stderr, failed
    table = subprocess.run(
        [SLUICE, "status", "--admin", f"http://{proxy.admin}"], check=True, capture_output=True, text=True).stdout
    assert re.search(r"iris\s+v1\s+100 %\s+1/1 up", table), table
    proxy.stop(), backend.stop()


@check
def a_dead_backend_is_skipped_and_comes_back():
    first, second = model(), model()
    proxy = gateway(config([one("iris", first.address, second.address, health="{interval: 200ms}")]))
    second.stop(signal.SIGKILL)
    for _ in range(50):
        status, headers, body = get(proxy.address, "/v1/models/iris:predict", V1)
        assert status == 200 and headers["x-sluice-backend"] == first.address, (status, body)
    first.stop(signal.SIGKILL)
    until(lambda: get(proxy.address, "/v1/models/iris:predict", V1)[0] == 503)
    status, headers, body = get(proxy.address, "/v1/models/iris:predict", V1)
    assert json.loads(body)["error"] == "no healthy backend for model 'iris'" and headers["retry-after"] == "1"
    assert get(proxy.address, "/v2/health/ready")[0] == 503
    third = Process(MODEL, "--listen", first.address)
    third.wait_for("on ")
    until(lambda: get(proxy.address, "/v1/models/iris:predict", V1)[0] == 200)
    proxy.stop(), third.stop()


@check
def least_request_prefers_the_faster():
    slow, fast = model("--delay", "80ms"), model("--delay", "4ms")
    proxy = gateway(config([one("iris", slow.address, fast.address)]))
    threads = [threading.Thread(target=lambda: [get(proxy.address, "/v1/models/iris:predict", V1) for _ in range(25)])
               for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert predictions(slow) + predictions(fast) == 200
    assert predictions(fast) > 2 * predictions(slow), (predictions(slow), predictions(fast))
    proxy.stop(), slow.stop(), fast.stop()


@check
def limits_name_their_keys():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)], "limits: {maxRequestBytes: 1KiB, headerTimeout: 300ms}"))
    status, _, body = get(proxy.address, "/v2/models/echo/infer", b"x" * 2000)
    assert status == 413 and "limits.maxRequestBytes" in json.loads(body)["error"], (status, body)
    host, port = proxy.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: x\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 "), "a slow head ends in 408"
    with socket.create_connection((host, int(port)), timeout=10) as bad:
        bad.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
        assert bad.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert predictions(backend) == 0
    proxy.stop(), backend.stop()


@check
def a_model_that_takes_too_long_is_a_timeout():
    backend = model("--delay", "5s")
    proxy = gateway(config([one("iris", backend.address, timeout="200ms")]))
    status, _, body = get(proxy.address, "/v1/models/iris:predict", V1)
    assert status == 504 and "no answer within" in json.loads(body)["error"], (status, body)
    # The shorter of two times holds, the model's as well as the caller's (`grpc-timeout`).
    tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
    tensor.set_data_from_numpy(numpy.zeros((1, 4), dtype=numpy.float32))
    with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
        began = time.monotonic()
        try:
            client.infer("iris", [tensor], client_timeout=4)
            raise AssertionError("a model that takes 5 s answered")
        except InferenceServerException as error:
            assert "DEADLINE_EXCEEDED" in error.status() and "within 0.2 seconds" in error.message(), error
        assert time.monotonic() - began < 4, "the model takes 5 s and the client waits for 4"
    until(lambda: 'sluice_backend_in_flight{model="iris",revision="v1",backend="%s"} 0' % backend.address
          in get(proxy.admin, "/metrics")[2].decode())
    proxy.stop(), backend.stop(signal.SIGKILL)


@check
def a_reload_swaps_backends_and_a_broken_file_changes_nothing():
    first, second = model("--revision", "v1"), model("--revision", "v2")
    proxy = gateway(config([one("iris", first.address)]))
    before = get(proxy.address, "/v1/models/iris:predict", V1)[2]
    with open(proxy.config, "w") as file:
        file.write(config([one("iris", second.address)]))
    proxy.child.send_signal(signal.SIGHUP)
    proxy.wait_for("configuration reloaded")
    until(lambda: get(proxy.address, "/v1/models/iris:predict", V1)[2] != before)
    with open(proxy.config, "w") as file:
        file.write("listeners: []\nmodles: []\n")
    proxy.child.send_signal(signal.SIGHUP)
    assert ":2:1" in proxy.wait_for(r"configuration refused: (.*unknown key.*)")
    assert get(proxy.address, "/v1/models/iris:predict", V1)[0] == 200
    metrics = get(proxy.admin, "/metrics")[2].decode()
    assert 'sluice_config_reloads_total{result="success"} 1' in metrics
    assert 'sluice_config_reloads_total{result="failure"} 1' in metrics
    proxy.stop(), first.stop(), second.stop()


@check
def a_reload_lets_running_requests_finish_where_they_began():
    first, second = model("--delay", "600ms"), model("--revision", "v2")
    proxy = gateway(config([one("iris", first.address).replace("rest: 'http", "rest: 'h2c")]))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(proxy.address, "/v1/models/iris:predict", V1)))
               for _ in range(4)]
    [thread.start() for thread in threads]
    until(lambda: 'in_flight{model="iris",revision="v1"} 4' in get(proxy.admin, "/metrics")[2].decode())
    with open(proxy.config, "w") as file:
        file.write(config([one("iris", second.address)]))
    proxy.child.send_signal(signal.SIGHUP)
    proxy.wait_for("configuration reloaded")
    [thread.join() for thread in threads]
    assert [row[0] for row in answers] == [200] * 4, answers
    assert {row[1]["x-sluice-backend"] for row in answers} == {first.address}
    assert get(proxy.address, "/v1/models/iris:predict", V1)[1]["x-sluice-backend"] == second.address
    assert proxy.stop() == 0
    first.stop(), second.stop()


@check
def a_reader_that_stops_holds_the_backend_not_the_memory():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)], "workers: 1"))
    size = 40 << 20
    head = json.dumps({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [size],
                                   "parameters": {"binary_data_size": size}}],
                       "parameters": {"binary_data_output": True}}).encode()
    before = resident(proxy)
    host, port = proxy.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ninference-header-content-length: %d\r\n"
                     b"content-length: %d\r\n\r\n" % (len(head), len(head) + size) + head)
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            slow.sendall(piece)
        # The answer has begun, and nobody reads it; others are served all the same.
        until(lambda: predictions(backend) == 1)
        for _ in range(50):
            assert get(proxy.address, "/v1/models/echo:predict", V1)[0] == 200
        assert resident(proxy) - before < 20 << 20, (before, resident(proxy))
        total = 0
        while total < size:
            piece = slow.recv(1 << 20)
            assert piece
            total += len(piece)
    proxy.stop(), backend.stop()


@check
def a_client_that_reads_nothing_and_goes_on_sending_ends_only_itself():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)], "workers: 1\nlimits: {bodyTimeout: 500ms}"))
    bodies = [b'{"instances":["%s"]}' % (b"x" * size) for size in (256 << 10, 15_000)]
    # HTTP/1.1: the connection is to be closed after an answer that nobody reads; then more is sent.
    http1 = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        len(bodies[0]), bodies[0])
    # HTTP/2: the windows are wide open, the socket is not read; then a frame breaks the rules, and more is sent.
    http2 = PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0x7fffffff)) + frame(8, 0, 0, struct.pack(">I", 0x7ffe0000))
    for stream in range(1, 81, 2):
        http2 += http2_head(stream, end_headers=True) + frame(0, 1, stream, bodies[1])
    for request, garbage in ((http1, b"GET "), (http2, frame(5, 4, 1, b"push"))):
        with unread_connection(proxy.address) as client:
            client.settimeout(10)
            client.sendall(request)
            until(lambda: predictions(backend) in (1, 41) and
                  'sluice_backend_in_flight{model="echo",revision="v1",backend="%s"} 0' % backend.address
                  in get(proxy.admin, "/metrics")[2].decode())
            for piece in (garbage, b"more", b"and more"):
                with contextlib.suppress(ConnectionError):
                    client.sendall(piece)
                assert get(proxy.address, "/v2/health/live")[0] == 200, "the gateway serves others all the while"
            # The answer is given up after bodyTimeout, though the client never hangs up.
            until(lambda: accepted(proxy.address) == 0, timeout=5,
                  what=lambda: f"the gateway still holds {accepted(proxy.address)} client connections; none were let go")
    assert proxy.stop() == 0, "".join(proxy.lines)
    backend.stop()


@check
def connections_that_clients_close_leave_no_memory_behind():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)], "workers: 1"))
    host, port = proxy.address.split(":")

    def come_and_go(count):
        for _ in range(count):
            with socket.create_connection((host, int(port)), timeout=10) as client:
                client.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        until(lambda: accepted(proxy.address) == 0)
        return resident(proxy)

    before, after = come_and_go(1000), come_and_go(3000)
    assert after - before < 1 << 20, f"3000 connections left {(after - before) >> 10} KB behind"
    proxy.stop(), backend.stop()


@check
def an_http2_body_whose_reads_never_end_with_a_frame_is_not_a_slow_head():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)], "limits: {headerTimeout: 300ms}"))
    host, port = proxy.address.split(":")
    rows = [b"1" * 998 + b"," for _ in range(12)]
    body = b'{"instances":[' + b"".join(rows).rstrip(b",") + b"]}"
    frames = b"".join(frame(0, 0, 1, body[start:start + 1000]) for start in range(0, len(body), 1000))
    frames += frame(0, 1, 1, b"")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(PREFACE + frame(4, 0, 0, b"") + http2_head(1, end_headers=True) + frames[:500])
        for start in range(500, len(frames), 1009):
            time.sleep(0.1)  # the pace of a slow line; three of these make a headerTimeout
            client.sendall(frames[start:start + 1009])
        received = b""
        while b"instances" not in received and b"predictions" not in received:
            piece = client.recv(1 << 16)
            assert piece, f"the gateway closed a connection that sent 10 KB a second; it said {received}"
            received += piece
    proxy.stop(), backend.stop()


check(slow_clients.a_thousand_slow_clients_are_cut_off)


@check
def sigterm_lets_running_requests_finish():
    backend = model("--delay", "700ms")
    proxy = gateway(config([one("iris", backend.address)]))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(get(proxy.address, "/v1/models/iris:predict", V1)[0]))
    thread.start()
    until(lambda: 'in_flight{model="iris",revision="v1"} 1' in get(proxy.admin, "/metrics")[2].decode())
    assert proxy.stop() == 0
    thread.join()
    assert answers == [200], answers
    backend.stop()


@check
def load_is_shared_and_every_count_agrees():
    backends = [model() for _ in range(4)]
    proxy = gateway(config([one("echo", *[b.address for b in backends], loadBalancing="roundRobin")]))
    body = os.path.join(folder, "body.json")
    with open(body, "w") as file:
        file.write('{"instances":[1,2,3]}')
    text = subprocess.run(
        ["h2load", "-n", "4000", "-c", "4", "-m", "8", "-d", body, f"http://{proxy.address}/v1/models/echo:predict"],
        check=True, capture_output=True, text=True).stdout
    assert "4000 succeeded, 0 failed" in text, text
    counts = [predictions(b) for b in backends]
    assert sum(counts) == 4000 and max(counts) - min(counts) <= 40, counts
    metrics = get(proxy.admin, "/metrics")[2].decode()
    assert 'sluice_requests_total{model="echo",revision="v1",protocol="v1",code="200"} 4000' in metrics
    proxy.stop(), [b.stop() for b in backends]


class TextOnly(http.server.BaseHTTPRequestHandler):
    """Hands Prometheus's scrape on, but asks for the plain text format; this Prometheus asks only for OpenMetrics."""
    admin, accepts = "", []

    def do_GET(self):
        self.accepts.append(self.headers["Accept"])
        status, headers, body = get(self.admin, self.path, headers={"Accept": "text/plain;version=0.0.4"})
        self.send_response(status)
        self.send_header("Content-Type", headers["content-type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@check
def a_real_prometheus_counts_what_was_sent():
    backend = model()
    proxy = gateway(config([one("iris", backend.address), one("echo", backend.address)]))
    TextOnly.admin = proxy.admin
    relay = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TextOnly)
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    targets = {"openmetrics": proxy.admin, "text": f"127.0.0.1:{relay.server_port}"}
    with open(f"{folder}/prometheus.yml", "w") as file:
        file.write("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n" + "".join(
            f"  - {{job_name: {job}, static_configs: [{{targets: ['{target}']}}]}}\n" for job, target in targets.items()))
    prometheus = Process(
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
        "--web.listen-address=127.0.0.1:0", "--log.level=info")
    address = prometheus.wait_for(r'msg="Listening on" address=(\S+)')
    until(lambda: get(address, "/-/ready")[0] == 200, what=lambda: "Prometheus did not become ready")

    def ask(query):
        answer = json.loads(get(address, f"/api/v1/query?query={urllib.parse.quote(query)}")[2])
        assert answer["status"] == "success", answer
        return {row["metric"].get("job"): float(row["value"][1]) for row in answer["data"]["result"]}

    sent = 60
    for number in range(sent):
        assert get(proxy.address, f"/v1/models/{('iris', 'echo', 'nope')[number % 3]}:predict", V1)[0] in (200, 404)
    expected = {
        "up": 1, "sum by (job) (sluice_requests_total)": sent,
        "sum by (job) (sluice_requests_total{code='200'})": sent * 2 / 3,
        "sum by (job) (sluice_request_duration_seconds_count)": sent,
        "sum by (job) (sluice_backend_requests_total)": sent * 2 / 3,
        "count by (job) (sluice_build_info == 1)": 1}

    def seen():
        return {query: ask(query) for query in expected}

    def told():
        active = json.loads(get(address, "/api/v1/targets")[2])["data"]["activeTargets"]
        return f"Prometheus shows {seen()}, not {expected}; its targets: {[(t['health'], t['lastError']) for t in active]}"

    wanted = {query: dict.fromkeys(targets, value) for query, value in expected.items()}
    until(lambda: seen() == wanted, timeout=10, what=told)
    # The header Prometheus sends is answered in OpenMetrics; whoever does not ask for it gets the text format.
    kinds = {accept: get(proxy.admin, "/metrics", headers={"Accept": accept})[1]["content-type"]
             for accept in (TextOnly.accepts[-1], "text/plain;version=0.0.4", "*/*")}
    assert [kind.split(";")[0] for kind in kinds.values()] == [
        "application/openmetrics-text", "text/plain", "text/plain"], kinds
    prometheus.stop(), relay.shutdown(), proxy.stop(), backend.stop()


for module in (
    control,
    names,
    rollout,
    split,
    mirror,
    resilience,
    overload,
    cache,
    store,
    answers,
    rows,
    warm,
    translation,
    callers,
    cross_origin,
    hedge,
    page,
    many_models,
    observability,
    logs,
    series,
    manifests,
    smuggling,
    tls,
    takeover,
    containers,
    sockets,
    attacks,
    chaos,
):
    checks += module.CHECKS
failed = 0
chosen = [function for function in checks if options.only in (None, function.__name__)]
if not chosen:
    sys.exit(f"no check is named {options.only}; there are: {', '.join(f.__name__ for f in checks)}")
for function in chosen:
    try:
        function()
        print(f"ok    {function.__name__}", flush=True)
    except Exception:  # noqa: BLE001 - every failure is a finding
        failed += 1
        print(f"FAIL  {function.__name__}\n{traceback.format_exc()}", flush=True)
print(f"{len(chosen) - failed} passed, {failed} failed")
sys.exit(1 if failed else 0)
