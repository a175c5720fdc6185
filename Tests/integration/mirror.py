"""Mirroring as callers and operators see it: a shadow gets its share of copies, answers are compared, and whatever
becomes of the shadow, callers notice nothing.

    Tests/run --only a_hung_shadow_changes_nothing
"""
import http.server
import json
import re
import signal
import statistics
import struct
import threading
import time

import numpy
import tritonclient.grpc

from processes import Control, V1, config, gateway, get, model, predictions, resident, until

V2 = "/v2/models/iris/infer"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 4.2, 1.5]]


def v2(rows=ROWS):
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [len(rows), 4],
                                   "data": [number for row in rows for number in row]}]}).encode()


def mirrored(original, shadow, keys="percent: 100", name="iris", **more):
    """A model whose second revision gets copies only; `more` are keys of the model."""
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    rows = ", ".join(f"{{name: {revision}, traffic: {share}, backends: [{address}]}}" for revision, share, address in (
        ("v1", 100, target(original)), ("v2", 0, target(shadow))))
    return gateway(config([
        f"  - {{name: {name}{extra}, mirror: {{revision: v2, {keys}}}, revisions: [{rows}]}}"], "workers: 1"))


def target(backend):
    if isinstance(backend, str):
        return backend
    return f"{{rest: 'http://{backend.address}', grpc: 'http://{backend.address}'}}"


def count(proxy, result, family="requests"):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = re.search(rf'sluice_mirror_{family}_total{{model="\w+",revision="v2",result="{result}"}} (\d+)', text)
    return int(found.group(1))


def settled(proxy):
    return count(proxy, "sent") == count(proxy, "answered") + count(proxy, "failed")


def ask_grpc(address):
    with tritonclient.grpc.InferenceServerClient(address) as client:
        tensor = tritonclient.grpc.InferInput("input", [len(ROWS), 4], "FP32")
        tensor.set_data_from_numpy(numpy.array(ROWS, dtype=numpy.float32))
        return client.infer("iris", [tensor]).as_numpy("probabilities")


def a_shadow_gets_its_share_and_callers_their_own_answers():
    original, shadow = model(), model("--revision", "v2")
    proxy = mirrored(original, shadow, "percent: 25")
    wanted = get(original.address, "/v1/models/iris:predict", V1)[2]
    for _ in range(800):
        status, headers, answer = get(proxy.address, "/v1/models/iris:predict", V1)
        assert (status, headers["x-sluice-revision"], answer) == (200, "v1", wanted)
    until(lambda: settled(proxy))
    # The direct question above is one of the original's.
    assert predictions(original) == 801
    sent = count(proxy, "sent")
    assert 140 <= sent <= 260, f"{sent} of 800 copied where 25 % were asked for"
    assert predictions(shadow) == sent == count(proxy, "answered")
    metrics = get(proxy.admin, "/metrics")[2].decode()
    assert 'sluice_requests_total{model="iris",revision="v1",protocol="v1",code="200"} 800' in metrics
    assert 'sluice_requests_total{model="iris",revision="v2"' not in metrics, "copies count as requests"
    assert f'sluice_backend_requests_total{{model="iris",revision="v2",backend="{shadow.address}",code="200"}} {sent}' in metrics
    assert 'sluice_requests_in_flight{model="iris",revision="v2"} 0' in metrics
    assert proxy.stop() == 0
    original.stop(), shadow.stop()


def answers_of_another_training_are_compared():
    original, same, other = model(), model(), model("--revision", "v2")
    for shadow, keys, wanted in ((same, "percent: 100", "equal"), (other, "percent: 100, tolerance: 2", "close"),
                                 (other, "percent: 100", "argmax")):
        proxy = mirrored(original, shadow, keys)
        binary = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [3, 4],
                                         "parameters": {"binary_data_size": 48}}],
                             "parameters": {"binary_data_output": True}}).encode()
        raw = struct.pack("<12f", *[number for row in ROWS for number in row])
        assert get(proxy.address, V2, v2())[0] == 200
        assert get(proxy.address, V2, binary + raw, {"inference-header-content-length": str(len(binary))})[0] == 200
        assert get(proxy.address, "/v1/models/iris:predict", json.dumps({"instances": ROWS}).encode())[0] == 200
        assert ask_grpc(proxy.address).shape == (3, 3)
        until(lambda: count(proxy, wanted, "comparisons") == 4, what=lambda: get(proxy.admin, "/metrics")[2].decode())
        assert proxy.stop() == 0
    # Near the border between two species the trainings decide differently.
    proxy = mirrored(original, other)
    for length in range(20, 40):
        assert get(proxy.address, V2, v2([[6.0, 2.7, length / 10, 1.6]]))[0] == 200
    until(lambda: sum(count(proxy, result, "comparisons") for result in ("argmax", "different")) == 20)
    assert count(proxy, "different", "comparisons") > 0
    # Errors are not compared.
    assert get(proxy.address, V2, b"{}")[0] == 400
    until(lambda: count(proxy, "uncomparable", "comparisons") == 1)
    assert proxy.stop() == 0
    original.stop(), same.stop(), other.stop()


def forms_are_translated_for_the_shadow_alone():
    original, shadow = model(), model()
    # The shadow speaks gRPC only; the callers' requests go on as they came.
    proxy = mirrored(original, f"{{grpc: 'http://{shadow.address}'}}")
    for _ in range(20):
        assert get(proxy.address, V2, v2())[0] == 200
        assert ask_grpc(proxy.address).shape == (3, 3)
    until(lambda: count(proxy, "equal", "comparisons") == 40, what=lambda: get(proxy.admin, "/metrics")[2].decode())
    assert proxy.stop() == 0
    original.stop(), shadow.stop()


def copies_are_marked_and_hits_make_none():
    seen = []

    class Shadow(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            seen.append((self.path, dict(self.headers.items()), body))
            self.send_response(500)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shadow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    original = model()
    proxy = mirrored(original, f"{{rest: 'http://{address}'}}", cache="{ttl: 60s}")
    # Only the gateway may say that a request is a copy.
    headers = {"x-request-id": "one", "x-sluice-mirror": "yes", "x-other": "kept"}
    for _ in range(5):
        assert get(proxy.address, V2, v2(), headers)[0] == 200
    until(lambda: count(proxy, "failed") == 1)
    assert predictions(original) == 1 and len(seen) == 1, f"{len(seen)} copies of one question and four hits"
    path, fields, body = seen[0]
    fields = {name.lower(): value for name, value in fields.items()}
    assert path == V2 and body == v2()
    assert fields["x-sluice-mirror"] == "1" and fields["host"] == address, fields
    assert fields["x-request-id"] == "one" and fields["x-other"] == "kept", fields
    assert fields["x-forwarded-for"] == "127.0.0.1", fields
    assert count(proxy, "uncomparable", "comparisons") == 1
    # The shadow's failure is nobody else's.
    metrics = get(proxy.admin, "/metrics")[2].decode()
    assert f'sluice_backend_requests_total{{model="iris",revision="v2",backend="{address}",code="500"}} 1' in metrics
    assert 'code="500"' not in metrics.replace(f'backend="{address}",code="500"', "")
    assert proxy.stop() == 0
    original.stop(), server.shutdown()


def load(proxy, threads=4, each=400):
    """Latencies of so many requests in milliseconds, and the gateway's memory behind them."""
    body, latencies, faults = v2(ROWS * 20), [], []

    def run():
        for _ in range(each):
            began = time.monotonic()
            status = get(proxy.address, V2, body)[0]
            latencies.append(1000 * (time.monotonic() - began))
            if status != 200:
                faults.append(status)
    workers = [threading.Thread(target=run) for _ in range(threads)]
    [worker.start() for worker in workers], [worker.join() for worker in workers]
    assert not faults, faults
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49], cuts[98], resident(proxy)


def a_hung_shadow_changes_nothing():
    """The must-show: p99 and memory of the original beside no shadow, a well one, a stopped one and a slow one."""
    original, slow = model(), model("--delay", "100s")
    stopped, well = model(), model()
    kinds = {"none": None, "well": well, "stopped": stopped, "slow": slow}
    proxies = {kind: mirrored(original, shadow or original, "percent: 0" if shadow is None else "percent: 100",
                              timeout="2s", health="{interval: 60s}")
               for kind, shadow in kinds.items()}
    for proxy in proxies.values():
        load(proxy, each=50)
    stopped.child.send_signal(signal.SIGSTOP)
    # Interleaved, so that what else the machine does meets all of them.
    rounds = {kind: [] for kind in kinds}
    with Control() as control:
        for _ in range(3):
            for kind, proxy in proxies.items():
                rounds[kind].append(load(proxy))
    print(f"      {'shadow':8}{'p50 ms':>8}{'p99 ms':>8}{'RSS MB':>8}{'sent':>7}{'dropped':>9}")
    figures = {}
    for kind, proxy in proxies.items():
        p50, p99, memory = (statistics.median(values) for values in zip(*rounds[kind]))
        figures[kind] = p99, memory
        print(f"      {kind:8}{p50:8.2f}{p99:8.2f}{memory / 2**20:8.1f}{count(proxy, 'sent'):7}{count(proxy, 'dropped'):9}")
    for kind in ("stopped", "slow"):
        assert count(proxies[kind], "dropped") > 1000, "copies beyond maxInFlight are dropped"
        p99, memory = figures[kind]
        assert p99 < 2 * figures["none"][0] + 1000 * control.allows(0.01), f"{kind}: p99 is {p99:.1f} ms beside {figures['none'][0]:.1f} without"
        assert memory - figures["none"][1] < 8 << 20, f"{kind}: {memory >> 20} MB beside {figures['none'][1] >> 20}"
        # They end with their deadline, and nothing is left of them.
        until(lambda: settled(proxies[kind]))
        assert 'sluice_requests_in_flight{model="iris",revision="v2"} 0' in get(proxies[kind].admin, "/metrics")[2].decode()
    stopped.child.send_signal(signal.SIGCONT)
    # A gateway that winds down doesn't wait for copies.
    assert get(proxies["slow"].address, V2, v2())[0] == 200
    took = {}
    for kind in ("none", "slow"):
        began = time.monotonic()
        assert proxies.pop(kind).stop() == 0
        took[kind] = time.monotonic() - began
    # The copy would have taken two seconds.
    assert took["slow"] < took["none"] + 1.5, took
    assert all(proxy.stop() == 0 for proxy in proxies.values())
    original.stop(), stopped.stop(), well.stop(), slow.stop(signal.SIGKILL)


CHECKS = [a_shadow_gets_its_share_and_callers_their_own_answers, answers_of_another_training_are_compared,
          forms_are_translated_for_the_shadow_alone, copies_are_marked_and_hits_make_none, a_hung_shadow_changes_nothing]
