"""Names of backends and listeners, what probes say of backends, and certificates that change under way.

    Tests/run --only a_moved_name_is_followed

Two checks have a hosts file of their own, and so need to be root.
"""
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import page
import processes
from processes import V1, Process, config, folder, gateway, get, until
from tls import certificate


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what its server's `paths` have, 404 else, and predictions with its server's name."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.asked.append(self.path)
        text = self.server.paths.get(self.path)
        self.answer(404 if text is None else 200, text or "")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, json.dumps({"predictions": [self.server.name]}))


READY = {"/v2/health/ready": ""}


def serve(name, host="127.0.0.1", port=0, paths=READY, tls=None):
    """A backend and the address that it listens at."""
    server = http.server.ThreadingHTTPServer((host, port), Answers)
    server.name, server.paths, server.asked, server.daemon_threads = name, paths, [], True
    server.handle_error = lambda *_: None
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, "%s:%d" % server.server_address[:2]


def predict(proxy, model="m"):
    status, _, body = get(proxy.address, f"/v1/models/{model}:predict", V1)
    return json.loads(body)["predictions"][0] if status == 200 else status


def backends(proxy, model="m"):
    state = json.loads(get(proxy.admin, f"/api/v1/models/{model}")[2])
    return state["revisions"][0]["backends"]


def one_model(backend, more="", health="{interval: 100ms}"):
    return config([f"  - {{name: m, health: {health}, revisions: [{{name: v1, backends: [{backend}]}}]}}"], more)


def written(text):
    """A file that says so."""
    path = f"{folder}/names-{len(os.listdir(folder))}"
    with open(path, "w") as out:
        out.write(text)
    return path


def with_hosts(text, configuration):
    """A gateway that has a hosts file of its own, and the file's path."""
    hosts, file = written(text), written(configuration)
    mount = f'mount --bind {hosts} /etc/hosts && exec "$0" serve --config {file}'
    return Process("unshare", "-m", "sh", "-c", mount, processes.SLUICE), hosts


def started(proxy):
    proxy.address = proxy.wait_for(r" listening address=(\S+) tls=off")
    proxy.admin = proxy.wait_for(r"admin listening address=(\S+)")
    return proxy


def a_moved_name_is_followed():
    if os.geteuid() != 0:
        print("      skipped: needs root")
        return
    old, address = serve("old", "127.0.0.2")
    port = address.split(":")[1]
    proxy, hosts = with_hosts("127.0.0.1 localhost\n127.0.0.2 model.test\n", one_model(
        f"{{rest: 'http://model.test:{port}'}}", "dnsInterval: 1s"))
    started(proxy)
    until(lambda: predict(proxy) == "old")
    serve("new", "127.0.0.3", int(port))
    with open(hosts, "w") as out:
        out.write("127.0.0.1 localhost\n127.0.0.3 model.test\n")
    old.shutdown()
    old.server_close()
    until(lambda: predict(proxy) == "new")
    # A name that is gone keeps its last addresses, and says so.
    with open(hosts, "w") as out:
        out.write("127.0.0.1 localhost\n")
    proxy.wait_for("its last addresses stay in use.*model.test")
    assert predict(proxy) == "new"
    until(lambda: "can't be looked up" in (backends(proxy)[0]["reason"] or ""))
    text = get(proxy.admin, "/metrics")[2].decode()
    assert f'sluice_dns_lookups_total{{name="model.test:{port}",result="failure"}}' in text


def an_address_of_each_family_is_one_replica_and_either_will_do():
    if os.geteuid() != 0:
        print("      skipped: needs root")
        return
    hosts = "127.0.0.1 localhost\n::1 localhost both.test\n127.0.0.1 both.test\n"
    for host in ("127.0.0.1", "::1"):
        family = http.server.ThreadingHTTPServer
        family.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            _, address = serve(host, host)
        except OSError:
            print(f"      {host} isn't here")
            continue
        finally:
            family.address_family = socket.AF_INET
        port = address.rsplit(":", 1)[1]
        proxy, _ = with_hosts(hosts, one_model(f"{{rest: 'http://both.test:{port}'}}"))
        started(proxy)
        until(lambda: predict(proxy) == host)
        assert len(backends(proxy)) == 1, backends(proxy)


def a_name_that_is_not_there_keeps_nothing_from_starting():
    _, address = serve("here")
    proxy = gateway(config([
        f"  - {{name: m, revisions: [{{name: v1, backends: [{{rest: 'http://{address}'}}]}}]}}",
        "  - {name: gone, revisions: [{name: v1, backends: [{rest: 'http://gone.invalid:80'}, {dns: 'never.invalid:9', protocol: grpc}]}]}",
    ]))
    until(lambda: predict(proxy) == "here")
    assert predict(proxy, "gone") == 503
    first, second = backends(proxy, "gone")
    assert first["address"] == "gone.invalid:80" and first["health"] == "down" and second["address"] == "never.invalid:9"
    assert first["reason"].startswith("gone.invalid:80 can't be looked up: "), first
    proxy.wait_for(r"a name can't be looked up; what it stands for comes when it can name=gone.invalid:80")
    text = subprocess.run([processes.SLUICE, "status", "--admin", f"http://{proxy.admin}"], capture_output=True, text=True).stdout
    assert "gone v1 gone.invalid:80 is down: gone.invalid:80 can't be looked up" in text, text


def every_address_of_a_listeners_name_is_listened_on():
    if os.geteuid() != 0:
        print("      skipped: needs root")
        return
    _, address = serve("here")
    configuration = one_model(f"{{rest: 'http://{address}'}}").replace("127.0.0.1:0", "late.test:0")
    proxy, hosts = with_hosts("127.0.0.1 localhost\n", configuration.replace("models:", "dnsInterval: 1s\nmodels:"))
    # It starts without its names, and listens once it has them.
    proxy.wait_for("a name can't be looked up; what it stands for comes when it can name=late.test:0")
    with open(hosts, "w") as out:
        out.write("127.0.0.1 localhost\n127.0.0.2 late.test\n127.0.0.3 late.test\n")
    for kind, path in (("admin ", "/healthz"), (r"info +", "/v2/health/live")):
        port = proxy.wait_for(rf"{kind}listening address=\S+?:(\d+)")
        for host in ("127.0.0.2", "127.0.0.3"):
            proxy.wait_for(rf"{kind}listening address={host}:{port}")
            assert get(f"{host}:{port}", path)[0] == 200


def a_probe_says_why_and_a_v1_server_just_works():
    old, address = serve("old", paths={})
    proxy = started(Process(processes.SLUICE, "serve", "--config", written(one_model(f"{{rest: 'http://{address}'}}"))))
    why = "GET /v2/health/ready: 404; GET /v1/models/m: 404"
    until(lambda: backends(proxy)[0]["reason"] == why)
    proxy.wait_for(f'a backend fails its probe model=m revision=v1 backend={address} reason="{why}"')
    text = subprocess.run([processes.SLUICE, "status", "--admin", f"http://{proxy.admin}"], capture_output=True, text=True).stdout
    assert f"m v1 {address} is down: {why}" in text, text
    assert predict(proxy) == 503
    old.paths = {"/v1/models/m": '{"name": "m", "ready": true}'}
    until(lambda: predict(proxy) == "old")
    assert backends(proxy)[0]["reason"] is None
    said = sum("fails its probe" in line for line in proxy.lines)
    assert said == 1, proxy.lines


def the_page_says_why_a_backend_is_down():
    if not page.PROGRAM:
        print("      skipped: there is no chromium here")
        return
    old, address = serve("old", paths={})
    row = f"{{rest: 'http://{address}'}}, {{rest: 'http://gone.invalid:80'}}"
    proxy = started(Process(processes.SLUICE, "serve", "--config", written(one_model(row))))
    with page.looking_at(proxy) as shown:
        def says(words, is_shown=True):
            return (f"[...document.querySelectorAll('.backends .reason')].some((e) => e.textContent.includes({json.dumps(words)}) "
                    f"&& (e.offsetParent !== null) === {json.dumps(is_shown)})")

        shown.until(says("GET /v2/health/ready: 404; GET /v1/models/m: 404"))
        shown.until(says("gone.invalid:80 can't be looked up"))
        page.picture(shown, "reasons")
        old.paths = READY
        shown.until(says("", is_shown=False))


def certificates_towards_backends_rotate():
    """The CA and our own certificate change, by themselves and at SIGHUP; a broken file changes nothing."""
    certificate("rotated-1", is_authority=True)
    certificate("rotated-2", is_authority=True)

    def swap(name, *paths):
        for source, target in zip((f"{folder}/tls-{name}.pem", f"{folder}/tls-{name}.key"), paths):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    def secure(name, trusted):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/tls-{name}.pem", f"{folder}/tls-{name}.key")
        context.load_verify_locations(f"{folder}/tls-{trusted}.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    for watched in (True, False):
        kind = "watched" if watched else "told"
        ca, own, key = (f"{folder}/{kind}-{name}.pem" for name in ("ca", "own", "key"))
        swap("rotated-1", ca)
        swap("rotated-1", own, key)
        server, address = serve("first", tls=secure("rotated-1", "rotated-1"))
        proxy = gateway(one_model(
            f"{{rest: 'https://localhost:{address.split(':')[1]}', tls: {{ca: {ca}, certificate: {own}, privateKey: {key}}}}}",
            "" if watched else "watch: false"))
        until(lambda: predict(proxy) == "first")

        def tell():
            if not watched:
                proxy.child.send_signal(signal.SIGHUP)

        with open(ca + ".new", "w") as out:
            out.write("no certificate at all\n")
        os.replace(ca + ".new", ca)
        tell()
        proxy.wait_for(f"configuration refused: .*{ca}")
        assert predict(proxy) == "first"
        assert "sluice_config_last_reload_successful 0" in get(proxy.admin, "/metrics")[2].decode()
        server.shutdown()
        server.server_close()
        swap("rotated-2", ca)
        swap("rotated-2", own, key)
        serve("second", port=int(address.split(":")[1]), tls=secure("rotated-2", "rotated-2"))
        tell()
        until(lambda: predict(proxy) == "second")
        assert "sluice_config_last_reload_successful 1" in get(proxy.admin, "/metrics")[2].decode()


def more_than_sixty_four_backends():
    """Seventy that speak gRPC alone stand before thirty that speak REST alone."""
    model = Process(processes.MODEL, "--listen", "0.0.0.0:0")
    port = model.wait_for(r"on 0\.0\.0\.0:(\d+)")
    entries = ", ".join(f"{{{'grpc' if number < 70 else 'rest'}: 'http://127.0.0.{number + 1}:{port}'}}" for number in range(100))
    for policy in ("leastRequest", "roundRobin", "random", "peakEwma", "ringHash"):
        more = "" if policy != "ringHash" else ", hashOn: {header: x-user}"
        proxy = gateway(config([
            f"  - {{name: iris, loadBalancing: {policy}{more}, timeout: 3s, revisions: [{{name: v1, backends: [{entries}]}}]}}"]))
        body = json.dumps({"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
        until(lambda: get(proxy.address, "/v2/models/iris/infer", body)[0] == 200)
        seen = set()
        for number in range(200):
            status, fields, answer = get(proxy.address, "/v2/models/iris/infer", body, {"x-user": f"u{number}"})
            assert status == 200, (policy, answer)
            seen.add(int(fields["x-sluice-backend"].split(":")[0].split(".")[3]))
        assert min(seen) > 70 and len(seen) > 20, (policy, sorted(seen))


CHECKS = [
    a_moved_name_is_followed,
    an_address_of_each_family_is_one_replica_and_either_will_do,
    a_name_that_is_not_there_keeps_nothing_from_starting,
    every_address_of_a_listeners_name_is_listened_on,
    a_probe_says_why_and_a_v1_server_just_works,
    the_page_says_why_a_backend_is_down,
    certificates_towards_backends_rotate,
    more_than_sixty_four_backends,
]
