"""Which revision takes a request, as callers see it: routes by header and cookie, users who stay where they are over
processes and protocols, weights of 0, and revisions that lend their share.

    Tests/run --only two_gateways_agree_on_every_user
"""
import http.client
import json
import math
import re
import signal
import subprocess

import grpc
import processes
from processes import V1, config, gateway, get, model, predictions, until
from tritonclient.grpc import service_pb2

PREDICT = "/v1/models/iris:predict"


def three(backends, traffic=(60, 30, 10), **keys):
    """The model iris with revisions v1, v2 and v3."""
    lines = ["  - name: iris", "    health: {interval: 200ms}"] + [f"    {key}: {value}" for key, value in keys.items()]
    lines.append("    revisions:")
    for number, (backend, share) in enumerate(zip(backends, traffic), 1):
        lines.append(f"      - {{name: v{number}, traffic: {share}, backends: "
                     f"[{{rest: 'http://{backend.address}', grpc: 'http://{backend.address}'}}]}}")
    return "\n".join(lines)


class Client:
    """Asks over one connection each for REST and gRPC; answers are (revision, status)."""

    def __init__(self, proxy):
        self.rest = http.client.HTTPConnection(proxy.address, timeout=20)
        self.channel = grpc.insecure_channel(proxy.address)
        self.infer = self.channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString)

    def ask(self, *headers):
        self.rest.putrequest("POST", PREDICT)
        for name, value in (*headers, ("content-length", str(len(V1)))):
            self.rest.putheader(name, value)
        self.rest.endheaders(V1)
        answer = self.rest.getresponse()
        self.body = answer.read()
        return answer.headers.get("x-sluice-revision"), answer.status

    def ask_grpc(self, *metadata):
        request = service_pb2.ModelInferRequest(model_name="iris")
        tensor = request.inputs.add(name="input", datatype="FP32", shape=[1, 4])
        tensor.contents.fp32_contents.extend([5.1, 3.5, 1.4, 0.2])
        try:
            _, call = self.infer.with_call(request, metadata=metadata, timeout=20)
            return dict(call.initial_metadata())["x-sluice-revision"], 0
        except grpc.RpcError as error:
            self.body = error.details().encode()
            return None, error.code().value[0]

    def close(self):
        self.rest.close()
        self.channel.close()


def xxh64(data, seed=0):
    """The hash as its specification says it, for data below 32 bytes."""
    prime = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
    mask = (1 << 64) - 1

    def rotate(value, count):
        value &= mask
        return value << count & mask | value >> 64 - count

    assert len(data) < 32
    value, place = seed + prime[4] + len(data), 0
    while place + 8 <= len(data):
        word = int.from_bytes(data[place:place + 8], "little")
        value = rotate(value ^ rotate(word * prime[1], 31) * prime[0] & mask, 27) * prime[0] + prime[3] & mask
        place += 8
    if place + 4 <= len(data):
        value = rotate(value ^ int.from_bytes(data[place:place + 4], "little") * prime[0] & mask, 23) * prime[1] + prime[2]
        place += 4
    for byte in data[place:]:
        value = rotate((value ^ byte * prime[4]) & mask, 11) * prime[0]
    value &= mask
    value = (value ^ value >> 33) * prime[1] & mask
    value = (value ^ value >> 29) * prime[2] & mask
    return value ^ value >> 32


def revision_of(user, traffic, salt="", usable=("v1", "v2", "v3"), model="iris"):
    """The manual's rule (Splitting.md) in another language: the least -ln(U) / weight wins."""
    def time(name):
        value = xxh64(user.encode(), xxh64(f"{model}\0{salt}\0{name}".encode()))
        return -math.log(((value >> 12) + 0.5) / 2**52) / shares[name]

    shares = {f"v{number}": share for number, share in enumerate(traffic, 1)}
    return min((name for name in shares if shares[name] > 0 and name in usable), key=time)


def counter(proxy, name, revision):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = re.search(rf'{name}{{model="iris",revision="{revision}"}} (\d+)', text)
    return int(found.group(1)) if found else None


def two_gateways_agree_on_every_user():
    backends = [model() for _ in range(3)]
    rules = three(backends, sticky="{header: X-User-Id, salt: spring}")
    gateways = [gateway(config([rules], "workers: 2")) for _ in range(2)]
    clients = [Client(proxy) for proxy in gateways]
    users = [f"user-{number}" for number in range(2000)]
    expected = [revision_of(user, (60, 30, 10), "spring") for user in users]
    for client in clients:
        rest = [client.ask(("x-user-id", user))[0] for user in users]
        rpc = [client.ask_grpc(("x-user-id", user))[0] for user in users]
        assert rest == expected, [row for row in zip(users, rest, expected) if row[1] != row[2]][:5]
        assert rpc == expected, [row for row in zip(users, rpc, expected) if row[1] != row[2]][:5]
    # 10 to 20 percent: a reload, and of the users of v2 and v3 nobody moves but to v3's own.
    with open(gateways[0].config) as file:
        text = file.read()
    for share, other in (("60", "50"), ("10", "20")):
        text = text.replace(f"traffic: {share},", f"traffic: {other},")
    with open(gateways[0].config, "w") as file:
        file.write(text)
    gateways[0].child.send_signal(signal.SIGHUP)
    gateways[0].wait_for("configuration reloaded")
    after = [clients[0].ask(("x-user-id", user))[0] for user in users]
    assert after == [revision_of(user, (50, 30, 20), "spring") for user in users]
    # A new process knows what the old one knew.
    assert gateways[1].stop() == 0
    again = gateway(config([rules]))
    client = Client(again)
    assert [client.ask(("x-user-id", user))[0] for user in users[:200]] == expected[:200]
    # Whoever says nothing is dealt by chance, and not all to one.
    assert {client.ask(*headers)[0] for headers in ([], [("x-user-id", "")]) for _ in range(100)} >= {"v1", "v2"}
    [client.close() for client in (*clients, client)]
    assert gateways[0].stop() == 0 and again.stop() == 0
    [backend.stop() for backend in backends]


def routes_come_before_the_weights():
    backends = [model() for _ in range(3)]
    rules = three(
        backends, (100, 0, 0), sticky="{cookie: uid}",
        routes='[{match: {header: X-Canary, value: always}, revision: v2}, '
               '{match: {header: user-agent, prefix: loadtest/}, revision: v3}, '
               '{match: {cookie: beta, value: "1"}, revision: v2}, {match: {header: x-debug}, revision: v3}]')
    proxy = gateway(config([rules]))
    client = Client(proxy)
    rows = [
        ([], "v1"), ([("x-canary", "always")], "v2"), ([("X-CANARY", "always")], "v2"), ([("x-canary", "Always")], "v1"),
        ([("x-canary", "never"), ("x-canary", "always")], "v2"), ([("user-agent", "loadtest/2")], "v3"),
        ([("cookie", "a=b; beta=1; uid=7")], "v2"), ([("cookie", "beta=10")], "v1"), ([("cookie", "xbeta=1")], "v1"),
        ([("cookie", "a=b"), ("cookie", "beta=1")], "v2"), ([("x-debug", "")], "v3"),
        ([("x-debug", "1"), ("x-canary", "always")], "v2"),
        # Weight 0 means no request, for sticky users as well; and clients can't choose unless they may.
        *(([("cookie", f"uid={number}")], "v1") for number in range(50)), ([("x-sluice-revision", "v2")], "v1")]
    for headers, expected in rows:
        assert client.ask(*headers) == (expected, 200), (headers, expected, client.body)
        # Python's gRPC sends its own user-agent.
        metadata = [(name.lower(), value) for name, value in headers]
        if all(name != "user-agent" for name, _ in metadata):
            assert client.ask_grpc(*metadata) == (expected, 0), (headers, expected)
    # Cookies come in crumbs over HTTP/2.
    crumbs = subprocess.run(
        ["curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", "-D", "-", "-H", "cookie: a=b", "-H", "cookie: beta=1",
         "-d", V1.decode(), f"http://{proxy.address}{PREDICT}"], capture_output=True, check=True, text=True).stdout
    assert "x-sluice-revision: v2" in crumbs, crumbs
    assert counter(proxy, "sluice_route_matches_total", "v2") == 13, counter(proxy, "sluice_route_matches_total", "v2")
    assert counter(proxy, "sluice_route_matches_total", "v1") == 0
    subprocess.run(["promtool", "check", "metrics"], input=get(proxy.admin, "/metrics")[2], check=True)
    client.close()
    assert proxy.stop() == 0
    [backend.stop() for backend in backends]


def a_revision_that_is_down_lends_its_share_but_not_its_name():
    backends = [model() for _ in range(3)]
    rules = three(backends, (50, 40, 10), sticky="{header: x-user-id}",
                  routes="[{match: {header: x-to, value: v2}, revision: v2}]")
    proxy = gateway(config([rules]))
    client = Client(proxy)
    address = backends[1].address
    backends[1].stop(signal.SIGKILL)
    warning = r"warn  a revision has no healthy backend; others take its share model=iris revision=v2"
    proxy.wait_for(warning)
    users = [f"user-{number}" for number in range(500)]
    lenders = 0
    for user in users:
        own = revision_of(user, (50, 40, 10))
        lenders += own == "v2"
        expected = revision_of(user, (50, 40, 10), usable=("v1", "v3"))
        assert expected == own or own == "v2"
        assert client.ask(("x-user-id", user)) == (expected, 200), user
    assert counter(proxy, "sluice_traffic_lent_total", "v2") == lenders > 0
    assert counter(proxy, "sluice_traffic_lent_total", "v1") == 0
    # Chance lends as well.
    assert {client.ask()[0] for _ in range(100)} == {"v1", "v3"}
    assert counter(proxy, "sluice_traffic_lent_total", "v2") > lenders
    # Who asked for v2 is told, and gets nobody else's answer.
    assert client.ask(("x-to", "v2"))[1] == 503
    assert json.loads(client.body)["error"] == "no healthy backend for revision 'v2' of model 'iris'", client.body
    assert client.ask_grpc(("x-to", "v2"))[1] == grpc.StatusCode.UNAVAILABLE.value[0]
    assert b"revision 'v2'" in client.body, client.body
    metrics = get(proxy.admin, "/metrics")[2].decode()
    assert 'sluice_requests_total{model="iris",revision="v2",protocol="v1",code="503"} 1' in metrics
    # It comes back, and so do its users.
    backends[1] = processes.Process(processes.MODEL, "--listen", address)
    backends[1].address = backends[1].wait_for(r"on (127\.0\.0\.1:\d+)")
    proxy.wait_for("info  a revision takes its share again model=iris revision=v2")
    until(lambda: client.ask(("x-to", "v2")) == ("v2", 200))
    assert [client.ask(("x-user-id", user))[0] for user in users] == [revision_of(user, (50, 40, 10)) for user in users]
    # Nobody to lend to: weight 0 takes nothing even then.
    client.close()
    assert proxy.stop() == 0
    rest = gateway(config([three(backends, (100, 0, 0), sticky="{header: x-user-id}")]))
    backends[0].stop(signal.SIGKILL)
    until(lambda: get(rest.address, PREDICT, V1)[0] == 503)
    assert get(rest.address, PREDICT, V1, {"x-user-id": "alice"})[0] == 503
    assert predictions(backends[2]) > 0 and counter(rest, "sluice_traffic_lent_total", "v1") == 0
    assert rest.stop() == 0
    [backend.stop() for backend in backends[1:]]


def the_cache_is_asked_for_the_revision_that_was_chosen():
    backends = [model() for _ in range(3)]
    rules = three(backends, (60, 40, 0), cache="{ttl: 60s}", sticky="{header: x-user-id}",
                  routes="[{match: {cookie: beta}, revision: v3}]")
    proxy = gateway(config([rules]))
    client = Client(proxy)
    for _ in range(2):
        for user in (f"user-{number}" for number in range(100)):
            expected = revision_of(user, (60, 40, 0))
            assert client.ask(("x-user-id", user)) == (expected, 200)
            assert client.ask_grpc(("x-user-id", user)) == (expected, 0)
            assert client.ask(("x-user-id", user), ("cookie", "beta=")) == ("v3", 200)
            assert client.ask_grpc(("x-user-id", user), ("cookie", "beta=")) == ("v3", 0)
    # One call each for V1 and for what gRPC asks.
    assert [predictions(backend) for backend in backends] == [2, 2, 2]
    # What is kept of v3 is still v3's answer when v3 is gone; anything else is an error.
    backends[2].stop(signal.SIGKILL)
    until(lambda: 'revision="v3",backend="%s"} 0' % backends[2].address in "".join(
        line for line in get(proxy.admin, "/metrics")[2].decode().splitlines(True) if "backend_healthy" in line))
    assert client.ask(("cookie", "beta=")) == ("v3", 200)
    assert client.ask(("cookie", "beta="), ("cache-control", "no-store"))[1] == 503
    assert counter(proxy, "sluice_traffic_lent_total", "v3") == 0
    client.close()
    assert proxy.stop() == 0
    [backend.stop() for backend in backends[:2]]


def a_client_may_name_its_revision_where_the_model_allows_it():
    backends = [model() for _ in range(3)]
    proxy = gateway(config([three(backends, (100, 0, 0), allowRevisionHeader="true",
                                  routes="[{match: {header: x-any}, revision: v3}]")]))
    closed = gateway(config([three(backends, (100, 0, 0))]))
    client = Client(proxy)
    assert client.ask(("x-sluice-revision", "v2"), ("x-any", "1")) == ("v2", 200)
    assert client.ask_grpc(("x-sluice-revision", "v3")) == ("v3", 0)
    assert client.ask(("x-sluice-revision", "")) == ("v1", 200)
    assert client.ask(("x-sluice-revision", "v9"))[1] == 404
    assert b"has no revision 'v9'" in client.body and b"known: v1, v2, v3" in client.body, client.body
    assert client.ask_grpc(("x-sluice-revision", "v9"))[1] == grpc.StatusCode.NOT_FOUND.value[0]
    v2 = '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}'
    for extra in ([V1.decode()], [v2, "--grpc"]):
        base = [processes.SLUICE, "predict", "iris", "--revision", "v2", "--data", *extra, "--url"]
        text = subprocess.run([*base, f"http://{proxy.address}"], check=True, capture_output=True, text=True).stdout
        assert "revision v2" in text, text
        other = subprocess.run([*base, f"http://{closed.address}"], capture_output=True, text=True)
        assert other.returncode == 1 and "revision v1" in other.stdout, other
        assert "came from revision v1, not v2: set `allowRevisionHeader: true` for model 'iris'" in other.stderr, other
        assert other.stderr.count("\n") == 1
    client.close()
    assert proxy.stop() == 0 and closed.stop() == 0
    [backend.stop() for backend in backends]


CHECKS = [two_gateways_agree_on_every_user, routes_come_before_the_weights,
          a_revision_that_is_down_lends_its_share_but_not_its_name,
          the_cache_is_asked_for_the_revision_that_was_chosen,
          a_client_may_name_its_revision_where_the_model_allows_it]
