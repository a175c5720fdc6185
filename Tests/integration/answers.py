"""What a backend's own answer says of itself is heeded: whether it may be kept, and what must not get lost on a hit.

    Tests/run --only answers
"""
import concurrent.futures
import http.server
import json
import re
import threading

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from processes import config, gateway, get, until

PATH = "/v2/models/m/infer"
TENSOR = {"name": "y", "datatype": "FP32", "shape": [2], "data": [1, 2]}


def question(number=1, **more):
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [number]}], **more}).encode()


class Speaker:
    """An HTTP/1.1 backend that answers predictions with the members, fields and status it is told, and counts them."""

    def __init__(self, members=None, fields=(), status=200):
        self.members, self.fields, self.status = members or {"outputs": [TENSOR]}, list(fields), status
        self.count, self.gate = 0, None
        speaker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body, fields=()):
                self.send_response(status)
                for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *fields):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                tensor = {"name": "y", "datatype": "FP32", "shape": [-1]}
                self.answer(200, json.dumps({"name": "m", "versions": ["1"], "platform": "p",
                                             "inputs": [{**tensor, "name": "x"}], "outputs": [tensor]}).encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                speaker.count += 1
                if speaker.gate:
                    speaker.gate.wait()
                members = dict(speaker.members)
                if members.pop("rows", False):
                    count = len(body["inputs"][0]["data"])
                    members["outputs"] = [{**TENSOR, "shape": [count], "data": body["inputs"][0]["data"]}]
                self.answer(speaker.status, json.dumps({"model_name": "m", **members}).encode(), speaker.fields)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()


def cached(backend, cache="{ttl: 60s}", way="rest", dialect="generic"):
    return gateway(config([f"  - {{name: m, cache: {cache}, revisions: [{{name: v1, dialect: {dialect}, "
                           f"backends: [{{{way}: 'http://{backend.address}'}}]}}]}}"]))


def statuses(proxy, count=2, body=None, path=PATH):
    found = []
    for _ in range(count):
        code, fields, answer = get(proxy.address, path, body or question())
        assert 200 <= code < 300, (code, answer)
        found.append(fields.get("cache-status", ""))
    return found


def learnt(proxy):
    """Waits until a probe has brought the model's metadata."""
    until(lambda: 200 <= get(proxy.address, "/v1/models/m:predict", b'{"instances":[0,0]}')[0] < 300)


def collapsed(proxy):
    found = re.search(r'sluice_cache_requests_total{model="m",tier="memory",result="collapsed"} (\d+)',
                      get(proxy.admin, "/metrics")[2].decode())
    return int(found.group(1)) if found else 0


def an_answers_own_cache_control_is_heeded():
    for value, is_kept in (
            ("no-store", False), ("private", False), ("no-cache", False), ("max-age=0", False), ("NO-STORE", False),
            ('private="set-cookie, x"', False), ("max-age=60, no-store", False), ("public, s-maxage=0, max-age=60", False),
            ("max-age=never", False), ("max-age=60", True), ("public", True), ("s-maxage=60, max-age=0", True),
            ("must-revalidate", True), ('max-age="60"', True)):
        backend = Speaker(fields=[("cache-control", value)])
        proxy = cached(backend)
        said = statuses(proxy)
        assert ("hit" in said[1]) == is_kept and backend.count == (1 if is_kept else 2), (value, said, backend.count)
        if is_kept and "60" in value:
            assert int(re.search(r"ttl=(\d+)", said[1]).group(1)) <= 60, said
        assert proxy.stop() == 0
        backend.stop()
    # Several fields are one list; and less time than the operator's is what counts.
    backend = Speaker(fields=[("cache-control", "public"), ("cache-control", "no-store")])
    proxy = cached(backend)
    assert not any("hit" in said for said in statuses(proxy, 3))
    backend.fields = [("cache-control", "max-age=30")]
    said = statuses(proxy)[1]
    assert "hit" in said and int(re.search(r"ttl=(\d+)", said).group(1)) <= 30, said
    assert proxy.stop() == 0
    backend.stop()


def translated_answers_and_rows_heed_it_too():
    backend = Speaker(fields=[("cache-control", "no-store")])
    proxy = cached(backend, dialect="mlserver")
    body = b'{"instances":[1,2]}'
    learnt(proxy)
    backend.count = 0
    assert not any("hit" in said for said in statuses(proxy, 3, body, "/v1/models/m:predict")), backend.count
    assert backend.count == 3
    assert proxy.stop() == 0
    backend.members, backend.count = {"rows": True}, 0
    proxy = cached(backend, "{ttl: 60s, rows: true}")
    rows = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]}]}).encode()
    said = statuses(proxy, 3, rows)
    assert not any("hit" in one or "stored" in one for one in said) and backend.count == 3, said
    backend.fields = []
    said = statuses(proxy, 2, rows)
    assert "hit" in said[1] and backend.count == 4, said
    assert proxy.stop() == 0
    backend.stop()


def callers_who_wait_for_an_answer_that_is_anothers_alone_ask_for_themselves():
    backend = Speaker(fields=[("cache-control", "private")])
    proxy = cached(backend)
    backend.gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(get, proxy.address, PATH, question()) for _ in range(4)]
        until(lambda: collapsed(proxy) == 3, what=lambda: f"{collapsed(proxy)} wait for the first, not 3")
        backend.gate.set()
        assert all(call.result()[0] == 200 for call in calls)
    assert backend.count == 4, f"{backend.count} calls for four callers"
    assert proxy.stop() == 0
    backend.stop()


def initial_metadata_of_grpc_says_it_as_well():
    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
        count, metadata = 0, (("cache-control", "no-store"),)

        def ServerLive(self, request, context):
            return service_pb2.ServerLiveResponse(live=True)

        def ServerReady(self, request, context):
            return service_pb2.ServerReadyResponse(ready=True)

        def ModelInfer(self, request, context):
            self.count += 1
            context.send_initial_metadata(self.metadata)
            answer = service_pb2.ModelInferResponse(model_name="m")
            answer.outputs.add(name="y", datatype="INT8", shape=[1])
            answer.raw_output_contents.append(b"\1")
            return answer

    service = Service()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    service.address = "127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0")
    server.start()
    proxy = cached(service, way="grpc")
    request = service_pb2.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="INT8", shape=[1])
    request.raw_input_contents.append(b"\7")
    with grpc.insecure_channel(proxy.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(2):
            stub.ModelInfer(request, timeout=10)
        assert service.count == 2, service.count
        # As REST asks for it the answer is translated.
        assert not any("hit" in said for said in statuses(proxy))
        assert service.count == 4, service.count
        service.metadata = ()
        for _ in range(2):
            stub.ModelInfer(request, timeout=10)
        assert service.count == 5, service.count
    assert proxy.stop() == 0
    server.stop(0)


def a_hit_says_all_that_the_miss_said():
    for members in ({"outputs": [{**TENSOR, "labels": ["cat", "dog"]}]},
                    {"outputs": [TENSOR], "explanation": {"why": "fur"}},
                    {"outputs": [TENSOR], "parameters": {"content": {"of": ["an", "object"]}}},
                    {"outputs": [{**TENSOR, "shape": [1, 2], "data": [[1, 2]]}]},
                    {"outputs": [TENSOR], "parameters": {"plain": 1}}):
        backend = Speaker(members)
        proxy = cached(backend)
        answers = [json.loads(get(proxy.address, PATH, question())[2]) for _ in range(2)]
        assert answers[0] == answers[1] and answers[0]["outputs"] == members["outputs"], answers
        # A member that isn't the protocol's may mean something to the model.
        before = backend.count
        statuses(proxy, 2, question(explain=True))
        assert backend.count == before + 2, "a request was answered with another's answer"
        assert proxy.stop() == 0
        backend.stop()


def every_success_is_one():
    backend = Speaker(status=201)
    proxy = cached(backend, dialect="mlserver")
    learnt(proxy)
    for path, body in (("/v1/models/m:predict", b'{"instances":[1,2]}'), (PATH, question())):
        code, fields, answer = get(proxy.address, path, body)
        assert 200 <= code < 300 and json.loads(answer), (path, code, answer)
    # Only 200 is kept.
    assert not any("hit" in said for said in statuses(proxy))
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [an_answers_own_cache_control_is_heeded, translated_answers_and_rows_heed_it_too,
          callers_who_wait_for_an_answer_that_is_anothers_alone_ask_for_themselves,
          initial_metadata_of_grpc_says_it_as_well, a_hit_says_all_that_the_miss_said, every_success_is_one]
