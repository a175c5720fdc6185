"""Backends behind a path, and header fields of our own towards them.

    Tests/run --only backend_urls
"""
import concurrent.futures
import http.server
import json
import os
import subprocess
import threading

import grpc

import processes
from processes import V1, config, folder, gateway, get, until

V2 = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
METADATA = {"name": "m", "platform": "p", "versions": [], "inputs": [], "outputs": []}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves V1 and V2 below its server's base, and remembers who asked for what with which fields."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self):
        fields = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        self.server.asked.append((self.command, self.path, fields))
        inside = self.path.startswith(self.server.base + "/")
        return self.path[len(self.server.base):] if inside else None

    def do_GET(self):
        path = self.note()
        if path is None:
            self.answer(404, {"error": "outside of the base"})
        else:
            self.answer(200, METADATA if path.startswith("/v2/models/") and not path.endswith("ready") else {})

    def do_POST(self):
        path = self.note()
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.hold:
            self.server.hold.wait(20)
        if path is None:
            self.answer(404, {"error": "outside of the base"})
        elif self.server.status != 200:
            self.answer(self.server.status, {"error": "not now"})
        elif path.startswith("/v1/"):
            self.answer(200, {"predictions": [self.server.name]})
        else:
            self.answer(200, {"model_name": "m", "outputs": []})


def serve(name, base="", status=200):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.name, server.base, server.status, server.asked, server.hold = name, base, status, [], None
    server.daemon_threads, server.handle_error = True, lambda *_: None
    server.address = "127.0.0.1:%d" % server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def posts(server):
    return [(path, fields) for method, path, fields in server.asked if method == "POST"]


def written(text, name):
    path = os.path.join(folder, name)
    draft = path + ".draft"
    with open(draft, "w") as file:
        file.write(text)
    os.replace(draft, path)
    return path


def one_model(backends, keys="", revision="", more=""):
    return config([f"  - {{name: m, health: {{interval: 100ms}}{keys}, revisions: [{{name: v1{revision}, backends: [{backends}]}}{more}]}}"])


def a_path_stands_before_ours():
    plain, deep = serve("plain"), serve("deep", "/base/x%20y")
    name = f"localhost:{deep.address.split(':')[1]}"
    for entry in (f"{{rest: 'http://{deep.address}/base/x%20y/'}}", f"{{dns: '{name}/base/x%20y', protocol: rest}}"):
        deep.asked.clear()
        proxy = gateway(one_model(entry, revision=", modelName: 'm 2'"))
        until(lambda: get(proxy.address, "/v2/models/m/ready")[0] == 200)
        assert get(proxy.address, "/v1/models/m:predict?a=%2F&b", V1)[0] == 200
        assert get(proxy.address, "/v2/models/m/infer", V2, {"content-type": "application/json"})[0] == 200
        assert get(proxy.address, "/v2/models/m")[0] == 200
        wanted = {"/v2/health/ready", "/v1/models/m%202:predict?a=%2F&b", "/v2/models/m%202/infer", "/v2/models/m%202"}
        until(lambda: wanted <= {path.removeprefix("/base/x%20y") for _, path, _ in deep.asked})
        assert all(path.startswith("/base/x%20y/") for _, path, _ in deep.asked), deep.asked
        assert proxy.stop() == 0
    # Sent again elsewhere, a request has the other's path; V1 is asked for where only V1 is.
    first = serve("first", "/one", 503)
    proxy = gateway(one_model(f"{{rest: 'http://{first.address}/one'}}, {{rest: 'http://{plain.address}'}}",
                              ", idempotent: true, loadBalancing: roundRobin, outlier: {consecutiveFailures: 0}"))
    until(lambda: len(posts(first)) > 2 and len(posts(plain)) > 2
          or get(proxy.address, "/v1/models/m:predict", V1)[0] not in (200, 503))
    assert {path for path, _ in posts(first)} == {"/one/v1/models/m:predict"}, first.asked
    assert {path for path, _ in posts(plain)} == {"/v1/models/m:predict"}, plain.asked
    assert proxy.stop() == 0


def a_key_of_ours_goes_to_its_backend_alone():
    first, second, shadow = serve("first", status=503), serve("second"), serve("shadow")
    key = written("first-secret\n", "backend.token")
    plain = f"{{rest: 'http://{second.address}'}}"
    ours = f"{{rest: 'http://{first.address}', headers: {{Authorization: {{file: '{key}'}}, x-team: 'literal-secret'}}}}"
    proxy = gateway(one_model(
        f"{ours}, {plain}",
        ", idempotent: true, loadBalancing: roundRobin, outlier: {consecutiveFailures: 0}, mirror: {revision: v2, percent: 100}",
        ", traffic: 100", f", {{name: v2, traffic: 0, backends: [{{rest: 'http://{shadow.address}'}}]}}"))
    caller = {"authorization": "Bearer callers", "x-team": "callers"}
    until(lambda: len(posts(first)) > 3 and len(posts(second)) > 3 and len(posts(shadow)) > 3
          or get(proxy.address, "/v1/models/m:predict", V1, caller)[0] not in (200, 503))
    for path, fields in posts(first):
        assert fields["authorization"] == ["Bearer first-secret"] and fields["x-team"] == ["literal-secret"], fields
    for _, fields in posts(second) + posts(shadow):
        assert fields["authorization"] == ["Bearer callers"] and fields["x-team"] == ["callers"], fields
    # Probes and questions for the model's description have it too.
    probes = [fields for method, _, fields in first.asked if method == "GET"]
    assert probes and all(fields["authorization"] == ["Bearer first-secret"] for fields in probes), probes
    # A changed file is in force without a restart, and a bad one changes nothing.
    written("second-secret", "backend.token")
    first.status = 200

    def latest():
        get(proxy.address, "/v1/models/m:predict", V1)
        return posts(first)[-1][1]["authorization"] if posts(first) else None
    until(lambda: latest() == ["Bearer second-secret"])
    written("bad\x01secret", "backend.token")
    proxy.wait_for(r"(configuration refused).*printable ASCII")
    assert latest() == ["Bearer second-secret"]
    shown = get(proxy.admin, "/api/v1/config")[2] + get(proxy.admin, "/api/v1/models")[2] + get(proxy.admin, "/metrics")[2]
    checked = subprocess.run([processes.SLUICE, "check", "--config", proxy.config], capture_output=True, text=True)
    assert checked.returncode == 1 and "printable ASCII" in checked.stdout + checked.stderr, checked
    with proxy.changed:
        texts = shown.decode() + checked.stdout + checked.stderr + "".join(proxy.lines)
    for secret in ("first-secret", "second-secret", "literal-secret", "bad\x01secret"):
        assert secret not in texts, secret
    assert "backend.token" in texts
    assert proxy.stop() == 0


def a_hedge_has_no_key_of_another_s():
    slow, fast = serve("slow"), serve("fast")
    slow.hold = threading.Event()
    entry = f"{{rest: 'http://{slow.address}', headers: {{authorization: 'Bearer slows-key'}}, weight: 1000}}"
    proxy = gateway(one_model(f"{entry}, {{rest: 'http://{fast.address}', headers: {{x-fast: 'y'}}}}",
                              ", idempotent: true, hedge: {delay: 20ms, maxAttempts: 2}"))
    until(lambda: get(proxy.address, "/v1/models/m:predict", V1)[0] == 200 and posts(slow) and posts(fast))
    slow.hold.set()
    assert all(fields["authorization"] == ["Bearer slows-key"] and "x-fast" not in fields for _, fields in posts(slow))
    assert all("authorization" not in fields and fields["x-fast"] == ["y"] for _, fields in posts(fast)), fast.asked
    assert proxy.stop() == 0


def grpc_metadata_of_ours():
    seen = []

    class Service(grpc.GenericRpcHandler):
        def service(self, details):
            def answer(_, context):
                seen.append((details.method, sorted(tuple(pair) for pair in context.invocation_metadata())))
                # `ready = true`, for all that a probe asks.
                return b"\x08\x01"
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([Service()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    proxy = gateway(one_model(f"{{grpc: 'http://127.0.0.1:{port}', headers: {{Authorization: 'Bearer abc', key-bin: 'AAEC'}}}}"))
    method = "/inference.GRPCInferenceService/ModelReady"
    with grpc.insecure_channel(proxy.address) as channel:
        channel.unary_unary(method)(b"\x0a\x01m", metadata=[("authorization", "callers"), ("key-bin", b"\x09")], timeout=10)
        channel.unary_unary("/inference.GRPCInferenceService/ModelMetadata")(b"\x0a\x01m", timeout=10)
    assert len(seen) >= 2
    for method, metadata in seen:
        assert [value for name, value in metadata if name == "authorization"] == ["Bearer abc"], (method, metadata)
        assert [value for name, value in metadata if name == "key-bin"] == [b"\x00\x01\x02"], (method, metadata)
    assert any("ServerReady" in method for method, _ in seen) and proxy.stop() == 0
    server.stop(0)


CHECKS = [a_path_stands_before_ours, a_key_of_ours_goes_to_its_backend_alone, a_hedge_has_no_key_of_another_s,
          grpc_metadata_of_ours]
