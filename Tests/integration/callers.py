"""What callers do wrong is theirs: malformed requests, unknown gRPC methods, half-closed connections.

    Tests/run --only malformed_requests_count_against_no_canary
"""
import http.server
import json
import socket
import ssl
import threading

import grpc

import tls
from processes import V1, config, gateway, get, model, one
from resilience import metric


class Naive(http.server.BaseHTTPRequestHandler):
    """A model server that answers 500 to whatever it can't read, as real ones do."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, answer = 200, {"predictions": [1]}
        try:
            question = json.loads(body)
            if self.path.startswith("/v2"):
                tensor = question["inputs"][0]
                count = 1
                for dimension in tensor["shape"]:
                    count *= dimension
                assert len(tensor["data"]) == count
                answer = {"model_name": "m", "outputs": []}
            elif question["instances"] == ["fail"]:
                raise RuntimeError("the model's own failure")
        except Exception as error:
            status, answer = 500, {"error": repr(error)}
        self.answer(status, answer)

    def do_GET(self):
        self.answer(200, {"ready": True})

    def answer(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def naive():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Naive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, "127.0.0.1:%d" % server.server_address[1]


def malformed_requests_count_against_no_canary():
    server, address = naive()
    proxy = gateway(config([f"""  - name: m
    revisions:
      - {{name: v1, traffic: 0, backends: [{{rest: "http://{address}"}}]}}
      - {{name: v2, traffic: 100, backends: [{{rest: "http://{address}"}}]}}"""]))
    misfit = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3]}]}
    bad = [("/v1/models/m:predict", b'{"instances": [[1, 2', "at byte 20 (line 1, column 21)"),
           ("/v1/models/m:predict", b'{"instances":\n [1,]}', "at byte 18 (line 2, column 5)"),
           ("/v1/models/m:predict", b"", "a value is missing at byte 0"),
           ("/v1/models/m:predict", b"[" + b"1," * 8000, "not JSON"),
           ("/v2/models/m/infer", json.dumps(misfit).encode(), "inputs[0].data at byte"),
           ("/v2/models/m/infer", json.dumps(misfit).encode(), "has 3 elements where shape [2, 2] takes 4"),
           ("/v2/models/m/infer", b'{"inputs": [{"name": "x"}]}', "has no 'datatype'")]
    for path, body, words in bad * 3:
        status, _, answer = get(proxy.address, path, body)
        assert status == 400 and words in json.loads(answer)["error"], (path, body[:60], status, answer)
    # The backend's own failure is passed on as it is.
    status, _, answer = get(proxy.address, "/v1/models/m:predict", b'{"instances": ["fail"]}')
    assert status == 500 and b"the model's own failure" in answer, (status, answer)
    assert get(proxy.address, "/v1/models/m:predict", V1)[0] == 200
    assert metric(proxy, "sluice_backend_ejections_total") == 0
    assert metric(proxy, "sluice_requests_total", revision="v2", code="400") == len(bad) * 3
    # What the backend said stays to be seen.
    assert metric(proxy, "sluice_backend_requests_total", revision="v2", code="500") == len(bad) * 3 + 1
    assert proxy.stop() == 0
    server.shutdown()


def grpc_callers_of_unknown_methods_hear_a_status():
    backend = model()
    proxy = gateway(config([f"  - {{name: m, revisions: [{{name: v1, backends: [{{rest: 'http://{backend.address}'}}]}}]}}"]))
    with grpc.insecure_channel(proxy.address) as channel:
        for path in ("/acme.Billing/Charge", "/inference.GRPCInferenceService/Charge", "/grpc.health.v1.Health/Charge",
                     "/Charge", "/acme.Billing/"):
            for call in (channel.unary_unary(path), channel.unary_stream(path)):
                try:
                    answer = call(b"", timeout=10)
                    list(answer)
                    raise AssertionError(f"{path} was answered")
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.UNIMPLEMENTED and path in error.details(), (path, error)
    for kind, wanted in (("application/json", 404), ("text/plain", 404), ("application/grpcx", 404)):
        status, _, answer = get(proxy.address, "/acme.Billing/Charge", b"{}", {"content-type": kind})
        assert status == wanted and json.loads(answer)["error"], (kind, status, answer)
    assert proxy.stop() == 0
    backend.stop()


def half_closed_clients_over_tls_get_their_answer():
    tls.everyone()
    backend = model("--delay", "200ms")
    cert, key = tls.MADE["server"]
    proxy = gateway(config([one("iris", backend.address)]).replace(
        "'127.0.0.1:0'}]",
        f"'127.0.0.1:0'}}, {{address: '127.0.0.1:0', tls: {{certificate: {cert}, privateKey: {key}}}}}]"))
    secure = proxy.wait_for(r"address=(\S+) tls=on")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls.MADE["authority"][0])

    def asked(head, fin):
        """The answer to a request behind which the client says, by close_notify, that it is through."""
        host, port = secure.split(":")
        raw = socket.create_connection((host, int(port)), timeout=10)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

        def through(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    data = raw.recv(1 << 16)
                    if data:
                        incoming.write(data)
                    else:
                        incoming.write_eof()
        through(client.do_handshake)
        client.write(head % len(V1) + V1)
        try:
            client.unwrap()
        except ssl.SSLWantReadError:
            pass
        raw.sendall(outgoing.read())
        if fin:
            raw.shutdown(socket.SHUT_WR)
        # Python reads no more behind its own close_notify, so what comes is only counted: an answer is more
        # than a close_notify of the other side.
        text = b""
        while data := raw.recv(1 << 16):
            text += data
        raw.close()
        return len(text)

    closing = b"POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    ancient = b"POST /v1/models/iris:predict HTTP/1.0\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    keeping = b"POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    tickets = asked(keeping, False)
    for fin in (False, True):
        for head in (closing, ancient):
            count = asked(head, fin)
            assert count > tickets + 100, (head, fin, count, tickets)
    # A caller that keeps its connection, and says that it is through, has gone.
    codes = {code: metric(proxy, "sluice_requests_total", code=code) for code in ("200", "499")}
    assert codes == {"200": 4, "499": 1}, codes
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [malformed_requests_count_against_no_canary, grpc_callers_of_unknown_methods_hear_a_status,
          half_closed_clients_over_tls_get_their_answer]
