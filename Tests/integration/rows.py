"""Batches are cached row by row: the backend sees only the rows that nobody has asked for yet, and callers can't tell.

    Tests/run --only rows
"""
import contextlib
import http.server
import json
import re
import signal
import struct
import subprocess
import threading
import time

import grpc
import numpy
import tritonclient.grpc

from cache import Redis, status_of
from processes import config, gateway, get, model, one, predictions, spawn, until

RANDOM = numpy.random.default_rng(7)
NEXT = 0


def fresh(count):
    """Rows that nobody has asked for; their numbers are random, so their text is long."""
    global NEXT
    NEXT += count
    rows = RANDOM.normal(4, 2, (count, 4)).astype(numpy.float32)
    rows[:, 0] = numpy.arange(NEXT - count, NEXT)
    return rows


def v1(rows, id=""):
    return "/v1/models/iris:predict", json.dumps({"instances": rows.tolist()}).encode(), {}


def v2(rows, id="", **more):
    inputs = [{"name": "input", "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}]
    return "/v2/models/iris/infer", json.dumps({**({"id": id} if id else {}), "inputs": inputs, **more}, indent=1).encode(), {}


def binary(rows, id=""):
    inputs = [{"name": "input", "datatype": "FP32", "shape": list(rows.shape),
               "parameters": {"binary_data_size": rows.nbytes}}]
    header = json.dumps({**({"id": id} if id else {}), "inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return "/v2/models/iris/infer", header + rows.tobytes(), {"inference-header-content-length": str(len(header))}


def message(rows, id="", raw=True):
    tensor = tritonclient.grpc.InferInput("input", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    made = tritonclient.grpc._utils._get_inference_request("iris", [tensor], "", id, None, 0, False, False, 0, None, None)
    if not raw:
        made.ClearField("raw_input_contents")
        made.inputs[0].contents.fp32_contents.extend(rows.flatten().tolist())
    return made.SerializeToString()


class Client:
    """Asks one gateway or model in any form; the answer is its very bytes."""

    def __init__(self, address):
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.call = self.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

    def __call__(self, form, rows, id="", **headers):
        if form in ("grpc", "typed"):
            answer, call = self.call.with_call(message(rows, id, form == "grpc"), timeout=20, metadata=tuple(headers.items()))
            return dict(call.initial_metadata()).get("cache-status", ""), answer
        path, body, more = {"v1": v1, "v2": v2, "binary": binary}[form](rows, id)
        code, fields, answer = get(self.address, path, body, {**more, **headers})
        assert code == 200, f"{code} {answer!r}"
        return status_of(fields), (fields.get("inference-header-content-length"), answer)


def asked(backend):
    return int(re.search(r"sluice_model_rows_total (\d+)", get(backend.address, "/metrics")[2].decode()).group(1))


def counted(proxy, name, **labels):
    wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.search(rf"{name}{{{wanted}}} (\d+)", get(proxy.admin, "/metrics")[2].decode())
    return int(found.group(1)) if found else 0


def cached(backend, extra="", cache="{ttl: 60s, rows: true}", name="iris"):
    return gateway(config([one(name, backend.address, cache=cache)], extra))


FORMS = ["v1", "v2", "binary", "grpc", "typed"]


def the_backend_sees_only_new_rows():
    backend = model()
    proxy, plain = cached(backend), Client(backend.address)
    ask = Client(proxy.address)
    for form in FORMS:
        known, new = fresh(90), fresh(10)
        status, _ = ask(form, known)
        assert status == "sluice; fwd=miss", status
        mixed = RANDOM.permutation(numpy.concatenate([known, new]))
        calls, before = predictions(backend), asked(backend)
        status, answer = ask(form, mixed, id="" if form == "v1" else "mine")
        seen = asked(backend) - before
        # The id is part of the text, so the first of its kind is told from tensors.
        print(f"    {form}: of 100 rows with 90 known the backend saw {seen}, in {predictions(backend) - calls} call: {status}")
        assert seen == 10 and predictions(backend) == calls + 1, seen
        assert status == "sluice; fwd=partial; stored; detail=rows:90/100", status
        assert answer == plain(form, mixed, id="" if form == "v1" else "mine")[1], f"{form}: {answer!r}"
        before = asked(backend)
        for again in (mixed, mixed[::-1], mixed[5:40], mixed[[3, 3, 3]], mixed[7:8]):
            for id in ("", "other"):
                status, answer = ask(form, again, id=id)
                total = len(again)
                assert status.startswith("sluice; hit; ttl="), status
                assert len(again) == 1 and form in ("grpc", "typed") or status.endswith(f"; detail=rows:{total}/{total}"), status
                assert asked(backend) == before
                assert answer == plain(form, again, id=id)[1], f"{form}: {answer!r}"
                before = asked(backend)
    assert counted(proxy, "sluice_cache_rows_total", model="iris", result="miss") == 100 * len(FORMS)
    assert counted(proxy, "sluice_cache_rows_total", model="iris", result="hit") == len(FORMS) * (90 + 2 * (100 + 100 + 35 + 3 + 1))
    assert counted(proxy, "sluice_cache_requests_total", model="iris", tier="memory", result="hit") == len(FORMS) * 10
    assert proxy.stop() == 0
    backend.stop()


def rows_are_shared_by_protocols():
    backend = model()
    proxy, plain = cached(backend), Client(backend.address)
    ask, rows = Client(proxy.address), fresh(40)
    # Ten rows come in each form, one of them alone; then everybody asks for everything.
    for index, form in enumerate(["v2", "binary", "grpc", "typed"]):
        ask(form, rows[10 * index:10 * index + 9], id="x" if index % 2 else "")
        ask(form, rows[10 * index + 9:10 * index + 10])
    assert asked(backend) == 40
    for form in ["v2", "binary", "grpc", "typed"]:
        for id in ("", "mine"):
            before = asked(backend)
            status, answer = ask(form, rows, id=id)
            assert asked(backend) == before and "detail=rows:40/40" in status, status
            assert answer == plain(form, rows, id=id)[1], form
    # A row that is asked for twice at once is asked once.
    twice, before = fresh(1), asked(backend)
    status, answer = ask("v2", numpy.concatenate([twice, rows[:2], twice]))
    assert asked(backend) == before + 1 and status.endswith("detail=rows:3/4"), status
    assert proxy.stop() == 0
    backend.stop()


def v1_rows_asked_one_by_one_make_a_batch():
    backend = model()
    proxy, plain = cached(backend), Client(backend.address)
    ask, rows = Client(proxy.address), fresh(10)
    for row in rows:
        ask("v1", row[None])
    before = asked(backend)
    # What stands between rows is not known yet, so two are asked together.
    status, answer = ask("v1", rows)
    assert asked(backend) == before + 2 and status.endswith("detail=rows:8/10"), status
    assert answer == plain("v1", rows)[1]
    before = asked(backend)
    status, answer = ask("v1", rows[::-1])
    assert asked(backend) == before and status.endswith("detail=rows:10/10"), status
    assert answer == plain("v1", rows[::-1])[1]
    assert proxy.stop() == 0
    backend.stop()


def translated_callers_have_rows_as_well():
    backend = model()
    only = lambda kind, cache: gateway(config([
        f"  - {{name: iris{cache}, revisions: [{{name: v1, backends: [{{{kind}: 'http://{backend.address}'}}]}}]}}"]))
    for kind, forms in (("grpc", ["v2", "binary", "v1"]), ("rest", ["grpc", "typed"])):
        proxy, plain = only(kind, ", cache: {ttl: 60s, rows: true}"), only(kind, "")
        ask, uncached, known = Client(proxy.address), Client(plain.address), fresh(9)
        if "v1" in forms:
            # Only the model's metadata says what V1 means there; the probe fetches it.
            until(lambda: get(plain.address, *v1(known)[:2])[0] == 200 and get(proxy.address, *v1(known)[:2])[0] == 200)
        for form in forms:
            known, new = fresh(9), fresh(1)
            ask(form, known)
            before = asked(backend)
            status, answer = ask(form, numpy.concatenate([known[:4], new, known[4:]]))
            assert asked(backend) == before + 1 and status.endswith("detail=rows:9/10"), f"{form}: {status}"
            expected = uncached(form, numpy.concatenate([known[:4], new, known[4:]]))[1]
            assert answer == expected, f"{form}: {answer} {expected}"
        if "v1" in forms:
            # What V1 means is known there, so it shares rows and whole answers with the others.
            known, new = fresh(9), fresh(1)
            ask("v1", known[:5]), ask("v2", known[5:])
            for form in FORMS:
                before = asked(backend)
                status, answer = ask(form, known)
                assert asked(backend) == before and status.endswith("detail=rows:9/9"), f"{form}: {status}"
                assert answer == uncached(form, known)[1], f"{form}: {answer}"
        assert proxy.stop() == 0
        assert plain.stop() == 0
    backend.stop()


class Odd:
    """A backend that answers V1 as `answer(instances, call)` says."""

    def __init__(self, answer):
        self.calls, self.fails = [], False
        odd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def reply(self, code, body):
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle(self):
                # A call that was given up ends its connection.
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def do_GET(self):
                self.reply(200, b"{}")

            def do_POST(self):
                instances = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
                odd.calls.append(instances)
                if odd.fails:
                    self.reply(500, b'{"error": "no"}')
                else:
                    self.reply(200, answer(instances, len(odd.calls)).encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def predict(proxy, *instances, **headers):
    code, fields, body = get(proxy.address, "/v1/models/m:predict", json.dumps({"instances": instances}).encode(), headers)
    return code, status_of(fields), body


def odd_gateway(odd, cache="{ttl: 60s, rows: true}", extra=""):
    return gateway(config([f"  - {{name: m, cache: {cache}, revisions: [{{name: v1, backends: [{{rest: 'http://{odd.address}'}}]}}]}}"], extra))


def what_cannot_be_cut_is_passed_on():
    # As TensorFlow Serving writes it, with numbers beyond what a double holds.
    pretty = lambda rows: "{\n    \"predictions\": [" + ", ".join(f"{row}.50\n" for row in rows) + "\n    ]\n}"
    odd = Odd(lambda rows, call: pretty(rows))
    proxy = odd_gateway(odd)
    big = 9007199254740993
    assert predict(proxy, big, 2)[2].decode() == pretty([big, 2])
    assert predict(proxy, 2, 3, big)[2].decode() == pretty([2, 3, big])
    assert odd.calls == [[big, 2], [3]], odd.calls
    # Row by row there is nothing to share between equal columns.
    code, _, body = get(proxy.address, "/v1/models/m:predict", b'{"inputs": [1], "instances": [1]}')
    assert counted(proxy, "sluice_cache_row_fallbacks_total", model="m", reason="request") == 1
    assert proxy.stop() == 0

    # It counts its calls, so rows of two calls don't make an answer: the caller gets one whole. (Workers learn each for
    # themselves.)
    odd = Odd(lambda rows, call: json.dumps({"predictions": rows, "call": call}))
    proxy = odd_gateway(odd, extra="workers: 1")
    predict(proxy, 1, 2)
    code, status, body = predict(proxy, 2, 3)
    assert odd.calls == [[1, 2], [3], [2, 3]] and json.loads(body) == {"predictions": [2, 3], "call": 3}, (odd.calls, body)
    assert status == "sluice; fwd=miss", status
    assert counted(proxy, "sluice_cache_row_fallbacks_total", model="m", reason="answer") == 1
    # For a while whole requests are cached instead.
    assert predict(proxy, 2, 3)[1].startswith("sluice; hit")
    predict(proxy, 2, 4)
    assert odd.calls[3:] == [[2, 4]], odd.calls
    assert proxy.stop() == 0

    # Answers that are larger than what may be gathered are passed on.
    odd = Odd(lambda rows, call: json.dumps({"predictions": [row * 5000 if row == "b" else row for row in rows]}))
    proxy = odd_gateway(odd, extra="workers: 1\nlimits: {maxRequestBytes: 4KiB}")
    predict(proxy, "a", "c")
    assert json.loads(predict(proxy, "a", "b")[2]) == {"predictions": ["a", "b" * 5000]}
    assert odd.calls == [["a", "c"], ["b"], ["a", "b"]], odd.calls
    assert proxy.stop() == 0

    # It sums up: there is no row in its answer.
    odd = Odd(lambda rows, call: json.dumps({"predictions": [sum(rows)]}))
    proxy = odd_gateway(odd, extra="workers: 1")
    assert json.loads(predict(proxy, 1, 2)[2]) == {"predictions": [3]}
    assert counted(proxy, "sluice_cache_row_fallbacks_total", model="m", reason="answer") == 1
    assert predict(proxy, 1, 2)[1].startswith("sluice; hit")
    assert proxy.stop() == 0


def requests_that_are_not_rows_are_cached_whole():
    backend = model()
    proxy = cached(backend, name="echo")
    tensor = lambda name, *shape: {"name": name, "datatype": "INT32", "shape": shape, "data": [1] * int(numpy.prod(shape))}
    ask = lambda *inputs, **more: get(proxy.address, "/v2/models/echo/infer", json.dumps({"inputs": inputs, **more}).encode())
    for inputs in ([tensor("a", 2), tensor("b", 3)], [tensor("a")], [tensor("a", 5000)], [tensor("a", 2, 0)]):
        for expected in ("fwd=miss", "hit; ttl="):
            code, fields, answer = ask(*inputs)
            assert code == 200 and status_of(fields).startswith(f"sluice; {expected}"), (inputs[0]["shape"], status_of(fields), answer)
    code, fields, _ = ask(tensor("a", 2), parameters={"sequence_id": 7})
    assert status_of(fields) == "sluice; fwd=bypass"
    assert counted(proxy, "sluice_cache_row_fallbacks_total", model="echo", reason="limit") == 2
    assert counted(proxy, "sluice_cache_row_fallbacks_total", model="echo", reason="request") == 7
    # BYTES whose last length leads out of the tensor: the model says what is wrong with it.
    header = json.dumps({"inputs": [{"name": "a", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 9}}]}).encode()
    code, fields, _ = get(proxy.address, "/v2/models/echo/infer", header + struct.pack("<I1sI", 1, b"x", 9),
                          {"inference-header-content-length": str(len(header))})
    assert code == 400, code
    assert proxy.stop() == 0
    backend.stop()


def failures_and_old_rows():
    odd = Odd(lambda rows, call: json.dumps({"predictions": rows}))
    proxy = odd_gateway(odd, "{ttl: 50ms, staleIfError: 1h, rows: true}")
    predict(proxy, 1, 2, 3)
    odd.fails = True
    until(lambda: "stale-if-error" in predict(proxy, 3, 1)[1])
    assert json.loads(predict(proxy, 2, 3, 1)[2]) == {"predictions": [2, 3, 1]}
    assert predict(proxy, 2, 4)[0] == 500
    assert proxy.stop() == 0
    odd.fails = False
    proxy = odd_gateway(odd, "{ttl: 50ms, staleWhileRevalidate: 1h, rows: true}")
    predict(proxy, 5, 6, 7)
    del odd.calls[:]
    until(lambda: "stale-while-revalidate" in predict(proxy, 7, 5)[1])
    until(lambda: odd.calls and all(sorted(call) == [5, 7] for call in odd.calls), what=lambda: odd.calls)
    assert proxy.stop() == 0
    # Callers have their say, and so has the operator.
    proxy = odd_gateway(odd)
    predict(proxy, 1, 2, 3)
    del odd.calls[:]
    assert predict(proxy, 1, 2, **{"cache-control": "no-store"})[1] == "sluice; fwd=bypass"
    assert predict(proxy, 1, 2, **{"cache-control": "no-cache"})[1] == "sluice; fwd=miss"
    assert predict(proxy, 3, 2, 1)[1].startswith("sluice; hit")
    assert odd.calls == [[1, 2], [1, 2]], odd.calls
    purged = subprocess.run(["curl", "-s", "-X", "DELETE", f"http://{proxy.admin}/api/v1/models/m/cache"],
                            capture_output=True, check=True).stdout
    assert json.loads(purged) == {"purged": 3}, purged
    assert predict(proxy, 3, 2, 1)[1] == "sluice; fwd=miss"
    assert proxy.stop() == 0


def equal_batches_are_one_call():
    backend = model("--delay", "300ms")
    proxy = cached(backend)
    ask, known, answers = Client(proxy.address), fresh(5), []
    ask("v2", known)
    mixed = numpy.concatenate([known, fresh(5)])
    before = asked(backend)
    threads = [threading.Thread(target=lambda form=form: answers.append(ask(form, mixed))) for form in ["v2", "grpc"] * 10]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(answers) == 20 and asked(backend) == before + 5, asked(backend) - before
    assert sum("collapsed" in status for status, _ in answers) > 0
    assert proxy.stop() == 0
    backend.stop()


def a_shadow_sees_the_rows_that_the_model_sees():
    backend, shadow = model(), model()
    proxy = gateway(config([
        "  - {name: iris, cache: {ttl: 60s, rows: true}, mirror: {revision: v2, percent: 100, compare: true}, revisions: ["
        + ", ".join(f"{{name: {name}, traffic: {share}, backends: [{{rest: 'http://{it.address}', grpc: 'http://{it.address}'}}]}}"
                    for name, share, it in (("v1", 100, backend), ("v2", 0, shadow))) + "]}"]))
    ask = Client(proxy.address)
    compared = lambda: counted(proxy, "sluice_mirror_comparisons_total", model="iris", revision="v2", result="equal")
    for number, form in enumerate(FORMS):
        known = fresh(9)
        ask(form, known)
        assert ask(form, numpy.concatenate([known, fresh(1)]))[0].endswith("detail=rows:9/10")
        until(lambda: compared() == 2 * number + 2, what=lambda: f"{form}: {compared()} were equal")
    assert asked(shadow) == asked(backend) == 10 * len(FORMS), (asked(shadow), asked(backend))
    assert proxy.stop() == 0
    backend.stop(), shadow.stop()


def redis_is_asked_once_for_all_rows():
    redis, backend = Redis(), model()
    # One worker: it is up when its connection is.
    extra = f"workers: 1\ncache: {{redis: {{url: 'unix://{redis.socket}', timeout: 2s}}}}"
    is_up = lambda proxy: b"\nsluice_redis_up 1\n" in get(proxy.admin, "/metrics")[2]
    proxy, plain = cached(backend, extra), Client(backend.address)
    until(lambda: is_up(proxy))
    known, new = fresh(90), fresh(10)
    Client(proxy.address)("v2", known)
    until(lambda: len(redis.keys()) == 90, what=lambda: f"Redis has {len(redis.keys())} keys")
    assert proxy.stop() == 0
    # Another process finds them all, with one command.
    proxy = cached(backend, extra)
    until(lambda: is_up(proxy))
    watch = spawn(["redis-cli", "-s", redis.socket, "monitor"], stdout=subprocess.PIPE, text=True)
    assert watch.stdout.readline() == "OK\n"
    ask, mixed, before = Client(proxy.address), RANDOM.permutation(numpy.concatenate([known, new])), asked(backend)
    status, answer = ask("grpc", mixed)
    assert asked(backend) == before + 10 and status.endswith("detail=rows:90/100"), status
    assert answer == plain("grpc", mixed)[1]
    until(lambda: len(redis.keys()) == 100)
    subprocess.run(["redis-cli", "-s", redis.socket, "echo", "that's all"], capture_output=True, check=True)
    commands = []
    for line in watch.stdout:
        commands.append(line)
        if "that's all" in line:
            break
    watch.kill()
    lookups = [line for line in commands if re.search(r'"M?GET"', line)]
    assert len(lookups) == 1 and lookups[0].count("sluice:iris/v1/") == 100, [line[:90] for line in commands]
    print(f"    Redis was asked once for {lookups[0].count('sluice:iris/v1/')} rows, and told {sum('SET' in line for line in commands)}")
    assert counted(proxy, "sluice_cache_requests_total", model="iris", tier="redis", result="miss") == 1
    before = asked(backend)
    assert ask("binary", mixed)[0].endswith("detail=rows:100/100") and asked(backend) == before
    assert proxy.stop() == 0
    # All in Redis: no backend is asked.
    proxy = cached(backend, extra)
    until(lambda: is_up(proxy))
    before = asked(backend)
    status, answer = Client(proxy.address)("v2", mixed)
    assert status.startswith("sluice; hit; ttl=") and status.endswith("detail=rows:100/100"), status
    assert asked(backend) == before and counted(proxy, "sluice_cache_requests_total", model="iris", tier="redis", result="hit") == 1
    assert answer == plain("v2", mixed)[1]
    # Whatever it does, predictions go on.
    ask = Client(proxy.address)
    redis.child.send_signal(signal.SIGSTOP)
    for form in FORMS:
        mixed = numpy.concatenate([known[:5], fresh(5)])
        assert ask(form, mixed)[1] == plain(form, mixed)[1]
    redis.child.send_signal(signal.SIGCONT)
    until(lambda: is_up(proxy))
    for key in redis.keys():
        subprocess.run(["redis-cli", "-s", redis.socket, "set", key, "nonsense"], capture_output=True)
    subprocess.run(["curl", "-s", "-X", "DELETE", f"http://{proxy.admin}/api/v1/models/iris/cache"], capture_output=True)
    until(lambda: not redis.keys())
    assert ask("v2", known)[0] == "sluice; fwd=miss"
    redis.kill()
    mixed = numpy.concatenate([known, fresh(3)])
    assert ask("v2", mixed)[1] == plain("v2", mixed)[1]
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [the_backend_sees_only_new_rows, rows_are_shared_by_protocols, v1_rows_asked_one_by_one_make_a_batch,
          translated_callers_have_rows_as_well, what_cannot_be_cut_is_passed_on,
          requests_that_are_not_rows_are_cached_whole, failures_and_old_rows, equal_batches_are_one_call,
          a_shadow_sees_the_rows_that_the_model_sees, redis_is_asked_once_for_all_rows]
