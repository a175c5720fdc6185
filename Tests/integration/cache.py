"""The result cache as callers see it: REST and gRPC share answers, equal calls are made once, and whatever Redis does,
predictions go on.

    Tests/run --only cache
"""
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import grpc
import numpy
import tritonclient.grpc
from tritonclient.grpc import service_pb2

from processes import Process, config, folder, gateway, get, model, one, predictions, until

V2 = "/v2/models/echo/infer"
ROW = [5.1, 3.5, 1.4, 0.2]


def v2(data=ROW, shape=None, datatype="FP32", **more):
    shape = shape or [1, len(data)]
    return json.dumps({"inputs": [{"name": "input", "datatype": datatype, "shape": shape, "data": data}], **more}).encode()


def status_of(headers):
    return headers.get("cache-status", "")


def ask(address, body, path=V2, **headers):
    code, fields, answer = get(address, path, body, headers)
    assert code == 200, f"{code} {answer!r}"
    return status_of(fields), answer


def ask_grpc(address, data=ROW, id="", model="echo"):
    with tritonclient.grpc.InferenceServerClient(address) as client:
        tensor = tritonclient.grpc.InferInput("input", [1, len(data)], "FP32")
        tensor.set_data_from_numpy(numpy.array([data], dtype=numpy.float32))
        return client.infer(model, [tensor], request_id=id)


def cached(backend, extra="", **keys):
    return gateway(config([one("echo", backend.address, cache="{ttl: 60s}", **keys)], extra))


def counter(proxy, tier, result):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = re.search(rf'sluice_cache_requests_total{{model="echo",tier="{tier}",result="{result}"}} (\d+)', text)
    return int(found.group(1)) if found else 0


def rest_and_grpc_share_answers():
    backend = model()
    proxy = cached(backend)
    assert ask(proxy.address, v2(id="one"))[0] == "sluice; fwd=miss"
    status, answer = ask(proxy.address, v2(id="two"))
    assert status.startswith("sluice; hit; ttl="), status
    assert json.loads(answer)["id"] == "two", answer
    result = ask_grpc(proxy.address, id="three")
    assert result.get_response().id == "three"
    assert numpy.allclose(result.as_numpy(result.get_response().outputs[0].name), [ROW])
    # Binary tensors are the same request as well.
    raw = struct.pack("<4f", *ROW)
    header = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4],
                                     "parameters": {"binary_data_size": 16}}]}).encode()
    status, answer = ask(proxy.address, header + raw, **{"inference-header-content-length": str(len(header))})
    assert status.startswith("sluice; hit"), status
    assert predictions(backend) == 1, f"the backend was asked {predictions(backend)} times"
    assert proxy.stop() == 0
    backend.stop()


def v1_shares_answers_where_its_meaning_is_known():
    backend = model()
    proxy = gateway(config([f"  - {{name: iris, cache: {{ttl: 60s}}, revisions: [{{name: v1, backends: [{{grpc: 'http://{backend.address}'}}]}}]}}"]))
    path, body = "/v1/models/iris:predict", json.dumps({"instances": [ROW, ROW]}).encode()
    # The probe asks the backend what the model's tensors are.
    until(lambda: get(proxy.address, path, body)[0] == 200)
    before = predictions(backend)
    status, first = ask(proxy.address, body, path)
    assert status.startswith("sluice; hit"), status
    assert len(json.loads(first)["predictions"]) == 2, first
    assert ask(proxy.address, v2(ROW + ROW, [2, 4]), "/v2/models/iris/infer")[0].startswith("sluice; hit")
    # And the other way round.
    assert ask(proxy.address, v2([1, 2, 3, 4]), "/v2/models/iris/infer")[0] == "sluice; fwd=miss"
    status, answer = ask(proxy.address, b'{"instances": [[1, 2.0, 3, 4]]}', path)
    assert status.startswith("sluice; hit") and json.loads(answer)["predictions"][0]["label"] in (0, 1, 2), (status, answer)
    # Columns are laid out otherwise.
    assert "outputs" in json.loads(ask(proxy.address, json.dumps({"inputs": [ROW, ROW]}).encode(), path)[1])
    assert predictions(backend) == before + 1
    assert proxy.stop() == 0
    backend.stop()


def what_differs_is_never_shared():
    backend = model()
    proxy = gateway(config([one(name, backend.address, cache="{ttl: 60s}") for name in ("echo", "iris")]))
    variants = [
        v2(), v2(shape=[4]), v2(shape=[2, 2]), v2(datatype="FP64"), v2(data=[5.1, 3.5, 1.4, 0.3]),
        v2(parameters={"temperature": 1}), v2(parameters={"temperature": 2}), v2(outputs=[{"name": "input"}]),
    ]
    for body in variants:
        code, fields, answer = get(proxy.address, V2, body)
        assert "hit" not in status_of(fields), f"{body} got the answer of another: {status_of(fields)} {answer}"
    assert "hit" not in ask(proxy.address, v2(), "/v2/models/iris/infer")[0]
    assert ask(proxy.address, v2())[0].startswith("sluice; hit")
    assert proxy.stop() == 0
    backend.stop()


def hits_over_one_connection_say_whose_they_are():
    backend = model()

    def revisions(*names):
        return ", ".join(f"{{name: {name}, traffic: {share}, modelName: echo, backends: [{{grpc: 'http://{backend.address}'}}]}}"
                         for name, share in zip(names, (100, 0)))

    proxy = gateway(config([f"  - {{name: {name}, cache: {{ttl: 60s}}, revisions: [{revisions(*names)}]}}"
                            for name, names in (("echo", ("v1", "v2")), ("iris", ("v1",)), ("rose", ("spare",)))]))
    current = {"echo": "v1", "iris": "v1", "rose": "spare"}
    chance, statuses, ids = random.Random(7), {"hit": 0, "fwd=miss": 0}, set()
    with grpc.insecure_channel(proxy.address) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer",
                                    request_serializer=service_pb2.ModelInferRequest.SerializeToString,
                                    response_deserializer=service_pb2.ModelInferResponse.FromString)

        def ask_one():
            name, row, id = chance.choice(list(current)), chance.randrange(12), chance.choice(["", "a", "b" * 200])
            request = service_pb2.ModelInferRequest(model_name=name, id=id)
            request.inputs.add(name="input", datatype="FP32", shape=[1, 4])
            values = struct.pack("<4f", row, 1, 2, 3)
            request.raw_input_contents.append(values)
            given = chance.choice([None, f"mine-{chance.randrange(1 << 30)}", "x" * 127])
            answer, call = infer.with_call(request, timeout=10, metadata=[("x-request-id", given)] if given else [])
            said = dict(call.initial_metadata())
            statuses[said["cache-status"].split(";")[1].strip()] += 1
            assert said["x-sluice-revision"] == current[name], (name, said)
            assert call.code() == grpc.StatusCode.OK, said
            assert said["x-request-id"] == given if given else said["x-request-id"] not in ids, said
            ids.add(said["x-request-id"])
            assert answer.id == id and list(answer.raw_output_contents) == [values], answer

        for _ in range(300):
            ask_one()
        assert statuses["hit"] > 200, statuses
        body = json.dumps({"v1": 0, "v2": 100}).encode()
        assert get(proxy.admin, "/api/v1/models/echo/traffic", body, method="PUT")[0] == 200
        current["echo"] = "v2"
        for _ in range(300):
            ask_one()
    assert statuses["fwd=miss"] == predictions(backend) and statuses["hit"] > 500, (statuses, predictions(backend))
    assert proxy.stop() == 0
    backend.stop()
    print(f"      {statuses['hit']} hits of 600 calls over one connection, each with its own revision and id")


def a_thousand_equal_calls_are_one():
    backend = model("--delay", "300ms")
    proxy = cached(backend)
    rest, grpc = f"{folder}/v2.json", f"{folder}/v2.bin"
    with open(rest, "wb") as file:
        file.write(v2())
    tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
    tensor.set_data_from_numpy(numpy.array([ROW], dtype=numpy.float32))
    message = tritonclient.grpc._utils._get_inference_request(
        "echo", [tensor], "", "", None, 0, False, False, 0, None, None).SerializeToString()
    with open(grpc, "wb") as file:
        file.write(b"\0" + struct.pack(">I", len(message)) + message)
    common = ["h2load", "-n", "500", "-c", "10", "-m", "50"]
    loads = [
        subprocess.Popen([*common, "-d", rest, "-H", "content-type: application/json",
                          f"http://{proxy.address}{V2}"], stdout=subprocess.PIPE, text=True),
        subprocess.Popen([*common, "-d", grpc, "-H", "content-type: application/grpc", "-H", "te: trailers",
                          f"http://{proxy.address}/inference.GRPCInferenceService/ModelInfer"],
                         stdout=subprocess.PIPE, text=True),
    ]
    for load in loads:
        text = load.communicate(timeout=60)[0]
        assert "500 succeeded, 0 failed" in text, text
    assert counter(proxy, "memory", "overtaken") == 0, "a call of 300 ms was taken for one that hangs"
    assert predictions(backend) == 1, f"the backend was asked {predictions(backend)} times"
    assert counter(proxy, "memory", "collapsed") > 0
    assert proxy.stop() == 0
    backend.stop()


def who_waited_gets_its_own_form_and_id():
    backend = model("--delay", "500ms")
    proxy = cached(backend)
    found, threads = {}, []

    def rest(name):
        status, answer = ask(proxy.address, v2(id=name))
        found[name] = (json.loads(answer)["id"], json.loads(answer)["outputs"][0]["data"])

    def grpc(name):
        response = ask_grpc(proxy.address, id=name).get_response()
        found[name] = (response.id, list(struct.unpack("<4f", response.raw_output_contents[0])))

    for number in range(8):
        threads.append(threading.Thread(target=(rest, grpc)[number % 2], args=(f"caller {number}",)))
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    for number in range(8):
        name, data = found[f"caller {number}"]
        assert name == f"caller {number}" and numpy.allclose(data, ROW), found
    assert predictions(backend) == 1, f"the backend was asked {predictions(backend)} times"
    assert proxy.stop() == 0
    backend.stop()


def a_failed_call_fails_those_who_waited_and_nobody_later():
    backend = model("--delay", "500ms", "--fail-rate", "1")
    proxy = cached(backend)
    codes, threads = [], []
    for _ in range(20):
        threads.append(threading.Thread(target=lambda: codes.append(get(proxy.address, V2, v2())[0])))
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(codes) == 20 and all(code >= 500 for code in codes), codes
    assert counter(proxy, "memory", "collapsed") > 0
    asked = predictions(backend)
    assert asked < 20, f"a call that fails was made {asked} times for 20 who asked at once"
    get(proxy.address, V2, v2())
    assert predictions(backend) == asked + 1, "a failure was remembered"
    assert proxy.stop() == 0
    # Those who waited failed for the reason that the one who asked did.
    with open(proxy.access_log) as file:
        reasons = {json.loads(line).get("why") for line in file.readlines()[-21:]}
    assert reasons == {"backend_error"}, reasons
    backend.stop()


def callers_and_operators_have_their_say():
    backend = model()
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 60s, staleIfError: 1h}")]))
    assert ask(proxy.address, v2())[0] == "sluice; fwd=miss"
    assert ask(proxy.address, v2(), **{"cache-control": "no-store"})[0] == "sluice; fwd=bypass"
    assert ask(proxy.address, v2(), **{"cache-control": "no-cache"})[0] == "sluice; fwd=miss"
    assert ask(proxy.address, v2())[0].startswith("sluice; hit")
    purge = subprocess.run(["curl", "-s", "-X", "DELETE", f"http://{proxy.admin}/api/v1/models/echo/cache"],
                           capture_output=True, text=True, check=True).stdout
    assert json.loads(purge) == {"purged": 1}, purge
    assert ask(proxy.address, v2())[0] == "sluice; fwd=miss"
    assert get(proxy.admin, "/api/v1/models/none/cache")[0] == 405
    assert proxy.stop() == 0
    backend.stop()


def an_old_answer_is_better_than_none():
    backend = model()
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 50ms, staleIfError: 1h}")]))
    _, fresh = ask(proxy.address, v2())
    backend.stop()

    def is_stale():
        code, fields, answer = get(proxy.address, V2, v2())
        return code == 200 and "stale-if-error" in status_of(fields) and answer == fresh

    until(is_stale)
    # Each caller gets it in its own form and under its own id.
    assert json.loads(ask(proxy.address, v2(id="late"))[1])["id"] == "late"
    result = ask_grpc(proxy.address, id="later")
    assert result.get_response().id == "later", result.get_response()
    assert numpy.allclose(result.as_numpy(result.get_response().outputs[0].name), [ROW])
    # What was never asked has no old answer.
    assert get(proxy.address, V2, v2(data=[9, 9, 9, 9]))[0] == 503
    assert proxy.stop() == 0


def a_stale_answer_is_served_while_it_is_refreshed():
    backend = model("--delay", "300ms")
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 50ms, staleWhileRevalidate: 1h}")]))
    ask(proxy.address, v2())
    until(lambda: "stale-while-revalidate" in ask(proxy.address, v2())[0])
    # However many see the old answer, one asks for a new one.
    began = time.monotonic()
    while time.monotonic() < began + 0.2:
        assert ask(proxy.address, v2())[0].startswith("sluice; hit")
    assert predictions(backend) <= 2, f"the backend was asked {predictions(backend)} times"
    until(lambda: predictions(backend) >= 2)
    assert proxy.stop() == 0
    backend.stop()


class Redis:
    def __init__(self, *flags):
        self.socket, self.flags = f"{folder}/redis-{time.monotonic_ns()}.sock", flags
        self.start()

    def start(self):
        self.child = Process(
            "redis-server", "--unixsocket", self.socket, "--port", "0", "--save", "", *self.flags, reads="stdout").child
        until(lambda: os.path.exists(self.socket))

    def kill(self):
        self.child.kill()
        self.child.wait()

    def keys(self):
        return subprocess.run(["redis-cli", "-s", self.socket, "keys", "*"], capture_output=True, text=True).stdout.split()


def redis_has_answers_for_every_form():
    redis, backend = Redis(), model()
    # One worker: it is up when its connection is.
    extra = f"workers: 1\ncache: {{redis: {{url: 'unix://{redis.socket}', timeout: 2s}}}}"
    header = json.dumps({"id": "two", "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4],
                                                  "parameters": {"binary_data_size": 16}}]}).encode()

    def rest(address):
        status, answer = ask(address, v2(id="one"))
        return status, json.loads(answer)["id"], json.loads(answer)["outputs"][0]["data"]

    def binary(address):
        status, answer = ask(address, header + struct.pack("<4f", *ROW),
                             **{"inference-header-content-length": str(len(header))})
        return status, json.loads(answer)["id"], json.loads(answer)["outputs"][0]["data"]

    def grpc(address, id="three"):
        response = ask_grpc(address, id=id).get_response()
        return "detail=redis", response.id, struct.unpack("<4f", response.raw_output_contents[0])

    forms = [(rest, "one"), (binary, "two"), (grpc, "three"), (lambda address: grpc(address, ""), "")]
    for number, (form, id) in enumerate([forms[0], *forms]):
        # A process that knows nothing itself.
        proxy = cached(backend, extra)
        until(lambda: b"\nsluice_redis_up 1\n" in get(proxy.admin, "/metrics")[2])
        status, told, data = form(proxy.address)
        assert told == id and numpy.allclose(data, ROW), (status, told, data)
        if number == 0:
            until(lambda: len(redis.keys()) == 1, what=lambda: f"Redis has {redis.keys()}, not one key")
        else:
            assert "detail=redis" in status, status
            assert counter(proxy, "redis", "hit") == 1
        assert proxy.stop() == 0
    assert predictions(backend) == 1, f"the backend was asked {predictions(backend)} times"
    redis.kill()
    backend.stop()


def a_purge_reaches_redis_over_whichever_connection_stands():
    redis, backend = Redis("--maxclients", "3"), model()

    def connect():
        ours = socket.socket(socket.AF_UNIX)
        ours.connect(redis.socket)
        return ours

    def tell(ours, command):
        ours.sendall(command.encode() + b"\r\n")
        return ours.recv(1 << 16).decode()

    def others():
        """Connections of the gateway's two workers, by number."""
        return [int(number) for number in re.findall(r"id=(\d+) ", tell(ours, "CLIENT LIST")) if int(number) > first]

    def takes_its_place(number):
        """Ends one connection, and is there first when it is made again."""
        tell(ours, f"CLIENT KILL ID {number}")
        filler.append(connect())
        return tell(filler[-1], "PING") == "+PONG\r\n"

    key_count = lambda: int(tell(ours, "DBSIZE")[1:])
    ours, number = connect(), iter(range(1_000_000))
    first = int(re.search(r"id=(\d+) ", tell(ours, "CLIENT LIST")).group(1))
    extra = f"cache: {{redis: {{url: 'unix://{redis.socket}', timeout: 200ms}}}}"
    for which in (min, max):
        filler, proxy = [], cached(backend, extra)
        until(lambda: len(others()) == 2)
        until(lambda: takes_its_place(which(others())))
        until(lambda: b"\nsluice_redis_up 1\n" in get(proxy.admin, "/metrics")[2])
        # Only one of the workers can keep an answer there.
        until(lambda: ask(proxy.address, v2(data=[next(number), 1, 1, 1])) and key_count() > 0)
        code, _, answer = get(proxy.admin, "/api/v1/models/echo/cache", method="DELETE")
        assert code == 200, answer
        until(lambda: key_count() == 0, what=lambda: f"Redis still has {key_count()} keys")
        assert proxy.stop() == 0
        [mine.close() for mine in filler]
    redis.kill()
    backend.stop()


def whatever_redis_does_predictions_go_on():
    redis, backend = Redis(), model()
    # One worker: it is up when its connection is.
    patient = f"workers: 1\ncache: {{redis: {{url: 'unix://{redis.socket}', timeout: 2s}}}}"
    extra = f"workers: 1\ncache: {{redis: {{url: 'unix://{redis.socket}', timeout: 20ms}}}}"
    proxy = cached(backend, patient)
    is_up = lambda: b"\nsluice_redis_up 1\n" in get(proxy.admin, "/metrics")[2]
    until(is_up)
    assert ask(proxy.address, v2())[0] == "sluice; fwd=miss"
    until(lambda: len(redis.keys()) == 1, what=lambda: f"Redis has {redis.keys()}, not one key")
    assert proxy.stop() == 0
    # Another process finds what the first one was told.
    proxy = cached(backend, patient)
    until(is_up)
    assert "detail=redis" in ask(proxy.address, v2())[0]
    assert "detail=memory" in ask(proxy.address, v2())[0]
    assert proxy.stop() == 0
    proxy = cached(backend, extra)
    until(is_up)
    number = iter(range(1_000_000))

    def go_on(seconds):
        """New questions, one after the other; returns how long the slowest took."""
        slowest, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            ask(proxy.address, v2(data=[next(number), 0, 0, 0]))
            slowest = max(slowest, time.monotonic() - began)
        return slowest

    quiet = go_on(0.5)
    redis.child.send_signal(signal.SIGSTOP)
    first, later = go_on(1.5), go_on(0.5)
    redis.child.send_signal(signal.SIGCONT)
    # The slack is the machine's, which others use as well.
    assert first < quiet + 0.150, f"a silent Redis cost {first * 1000:.0f} ms, {quiet * 1000:.0f} without"
    assert later < quiet + 0.050, f"a Redis known to be silent cost {later * 1000:.0f} ms"
    until(is_up, timeout=4)
    redis.kill()
    go_on(0.3)
    until(lambda: not is_up())
    redis.start()
    go_on(0.1)
    until(is_up, timeout=4)
    purge = subprocess.run(["curl", "-s", "-X", "DELETE", f"http://{proxy.admin}/api/v1/models/echo/cache"],
                           capture_output=True, check=True).stdout
    assert json.loads(purge)["purged"] > 0
    until(lambda: not redis.keys(), what=lambda: f"Redis still has {len(redis.keys())} keys")
    redis.kill()
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [rest_and_grpc_share_answers, v1_shares_answers_where_its_meaning_is_known,
          what_differs_is_never_shared, hits_over_one_connection_say_whose_they_are,
          a_thousand_equal_calls_are_one, who_waited_gets_its_own_form_and_id,
          a_failed_call_fails_those_who_waited_and_nobody_later,
          callers_and_operators_have_their_say, an_old_answer_is_better_than_none,
          a_stale_answer_is_served_while_it_is_refreshed, redis_has_answers_for_every_form,
          a_purge_reaches_redis_over_whichever_connection_stands,
          whatever_redis_does_predictions_go_on]
