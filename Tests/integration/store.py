"""A real Redis that refuses, moves its password or wants TLS: what operators are told, and that it's told without secrets.

    Tests/run --only store
"""
import atexit
import json
import os
import socket
import subprocess

import cache
import processes
from processes import config, folder, gateway, get, model, one, until

DIRECTORY = {}


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificates():
    """A CA, and one certificate that serves both sides."""
    if not DIRECTORY:
        made = {name: os.path.join(folder, f"store-{name}.pem") for name in ("ca", "cakey", "key", "request", "cert")}
        extensions = os.path.join(folder, "store.ext")
        with open(extensions, "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=store authority", "-keyout", made["cakey"], "-out", made["ca"])
        openssl("req", "-new", *curve, "-subj", "/CN=store", "-keyout", made["key"], "-out", made["request"])
        openssl("x509", "-req", "-in", made["request"], "-days", "2", "-CA", made["ca"], "-CAkey", made["cakey"],
                "-CAcreateserial", "-extfile", extensions, "-out", made["cert"])
        DIRECTORY.update(made)
    return DIRECTORY


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one_that_is_free:
        return one_that_is_free.getsockname()[1]


def redis_cli(redis, *words):
    return subprocess.run(["redis-cli", "-s", redis.socket, *words], check=True, capture_output=True, text=True).stdout


def is_up(proxy):
    return b"\nsluice_redis_up 1\n" in get(proxy.admin, "/metrics")[2]


def errors(proxy, reason):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = [line for line in text.splitlines() if line.startswith(f'sluice_redis_errors_total{{reason="{reason}"}}')]
    return int(float(found[0].split()[-1]))


def said(proxy):
    with proxy.changed:
        return [line for line in proxy.lines if "redis" in line]


def state(proxy):
    return json.loads(get(proxy.admin, "/api/v1/models")[2])["redis"]


def a_password_file_is_read_again():
    redis, backend = cache.Redis(), model()
    redis_cli(redis, "config", "set", "requirepass", "right-secret")
    file = os.path.join(folder, "redis.password")
    with open(file, "w") as text:
        text.write("wrong-secret\n")
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 60s}")],
                           f"cache: {{redis: {{url: 'unix://{redis.socket}', passwordFile: '{file}'}}}}"))
    until(lambda: errors(proxy, "password") >= 3)
    assert state(proxy)["up"] is False and state(proxy)["troubles"][0]["reason"] == "password", state(proxy)
    assert len(said(proxy)) == 1 and "WRONGPASS" in said(proxy)[0], said(proxy)
    shown = subprocess.run([processes.SLUICE, "status", "--admin", f"http://{proxy.admin}"], capture_output=True, text=True).stdout
    assert "WRONGPASS" in shown, shown
    with open(file, "w") as text:
        text.write("right-secret\n")
    until(lambda: is_up(proxy))
    until(lambda: state(proxy) == {"up": True, "troubles": []})
    text = "".join(proxy.lines) + get(proxy.admin, "/api/v1/config")[2].decode() + get(proxy.admin, "/api/v1/events")[2].decode()
    assert "secret" not in text, text
    assert len(said(proxy)) == 2, said(proxy)
    assert proxy.stop() == 0
    redis.kill()
    backend.stop()


def redis_over_tls_with_a_client_certificate():
    made, port, backend = certificates(), free_port(), model()
    redis = cache.Redis("--tls-port", str(port), "--tls-cert-file", made["cert"], "--tls-key-file", made["key"],
                        "--tls-ca-cert-file", made["ca"])
    tls = f"{{ca: '{made['ca']}', certificate: '{made['cert']}', privateKey: '{made['key']}'}}"
    models = [one("echo", backend.address, cache="{ttl: 60s}")]
    proxy = gateway(config(models, f"cache: {{redis: {{url: 'rediss://localhost:{port}/1', timeout: 200ms, tls: {tls}}}}}"))
    until(lambda: is_up(proxy))
    # Each worker has a connection of its own; one is up already.
    number = iter(range(1_000_000))

    def is_kept():
        assert cache.ask(proxy.address, cache.v2([next(number), 0, 0, 0]))[0] == "sluice; fwd=miss"
        return int(redis_cli(redis, "-n", "1", "dbsize")) > 0
    until(is_kept)
    assert proxy.stop() == 0
    # Whom it doesn't know it doesn't speak to.
    proxy = gateway(config(models, f"cache: {{redis: {{url: 'rediss://localhost:{port}'}}}}"))
    until(lambda: errors(proxy, "connect") >= 1)
    assert not is_up(proxy) and cache.ask(proxy.address, cache.v2())[0] == "sluice; fwd=miss"
    assert proxy.stop() == 0
    redis.kill()
    backend.stop()


def refused_writes_are_told_once():
    redis, backend = cache.Redis(), model()
    proxy = cache.cached(backend, f"cache: {{redis: {{url: 'unix://{redis.socket}', timeout: 200ms}}}}")
    until(lambda: is_up(proxy))
    number = iter(range(1_000_000))

    def store_some(count=40):
        for _ in range(count):
            cache.ask(proxy.address, cache.v2(data=[next(number), 0, 0, 0]))

    for setting, back, reason in ((["maxmemory", "1"], ["maxmemory", "0"], "oom"),
                                  (["min-replicas-to-write", "1"], ["min-replicas-to-write", "0"], "replication")):
        redis_cli(redis, "config", "set", *setting)
        store_some()
        until(lambda: errors(proxy, reason) >= 10)
        assert [t["use"] for t in state(proxy)["troubles"]] == ["writes"], state(proxy)
        redis_cli(redis, "config", "set", *back)
        # A worker's connection is well again after some answers; there may be several workers.
        until(lambda: store_some() or state(proxy)["troubles"] == [])
    lines = said(proxy)
    assert sum("OOM" in line for line in lines) == 1 and sum("NOREPLICAS" in line for line in lines) == 1, lines
    assert proxy.stop() == 0
    redis.kill()
    backend.stop()


class Server:
    """A redis-server on a port of its own, or a Sentinel that watches the one at `master`."""

    def __init__(self, *flags, port=None, master=None, quorum=1):
        self.port, self.flags, self.file = port or free_port(), flags, None
        if master:
            self.file = os.path.join(folder, f"sentinel-{self.port}.conf")
            with open(self.file, "w") as file:
                file.write(f"sentinel monitor mine 127.0.0.1 {master.port} {quorum}\n"
                           "sentinel down-after-milliseconds mine 500\nsentinel failover-timeout mine 3000\n")
        self.start()
        atexit.register(self.kill)

    def start(self):
        place = [self.file, "--sentinel"] if self.file else ["--save", ""]
        self.child = subprocess.Popen(
            ["redis-server", *place[:1 if self.file else 0], "--port", str(self.port), *place[1 if self.file else 0:],
             "--dir", folder, *self.flags], stdout=subprocess.DEVNULL)
        until(lambda: self.cli("ping", check=False).strip() in ("PONG", "NOAUTH Authentication required."))

    def cli(self, *words, check=True):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], check=check, capture_output=True, text=True).stdout

    def kill(self):
        self.child.kill()
        self.child.wait()


def a_failover_by_sentinels_is_followed():
    backend, password = model(), os.path.join(folder, "sentinel-redis.password")
    flags = ("--requirepass", "redis-secret", "--masterauth", "redis-secret")
    with open(password, "w") as file:
        file.write("redis-secret\n")
    master = Server(*flags)
    replica = Server(*flags, "--replicaof", "127.0.0.1", str(master.port))
    sentinel = Server("--requirepass", "sentinel-secret", master=master)
    sentinel.cli("-a", "sentinel-secret", "sentinel", "set", "mine", "auth-pass", "redis-secret")
    sentinel_password = os.path.join(folder, "sentinel.password")
    with open(sentinel_password, "w") as file:
        file.write("not-yet-the-secret\n")
    # The first Sentinel named isn't there.
    url = f"redis+sentinel://127.0.0.1:{free_port()},localhost:{sentinel.port}/mine/1"
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 60s}")],
                           f"cache: {{redis: {{url: '{url}', timeout: 200ms, passwordFile: '{password}', "
                           f"sentinel: {{passwordFile: '{sentinel_password}'}}}}}}"))
    # Sentinels say why, once.
    until(lambda: errors(proxy, "password") >= 2)
    trouble = state(proxy)["troubles"][0]
    assert trouble["reason"] == "password" and f"localhost:{sentinel.port}" in trouble["message"], trouble
    assert "WRONGPASS" in trouble["message"], trouble
    status = subprocess.run([processes.SLUICE, "status", "--admin", f"http://{proxy.admin}"], capture_output=True, text=True)
    assert "WRONGPASS" in status.stdout + status.stderr, status
    with open(sentinel_password, "w") as file:
        file.write("sentinel-secret\n")
    until(lambda: is_up(proxy))
    number = iter(range(1, 1_000_000))

    def ask():
        # Each worker has a connection of its own, which comes into use in its own time.
        assert cache.ask(proxy.address, cache.v2(data=[next(number), 0, 0, 0]))[0] == "sluice; fwd=miss"
    until(lambda: ask() or int(master.cli("-a", "redis-secret", "-n", "1", "dbsize")) > 0)
    until(lambda: "state=online" in master.cli("-a", "redis-secret", "info", "replication")
          and f"num-slaves\n1\n" in sentinel.cli("-a", "sentinel-secret", "sentinel", "master", "mine"))
    # The master dies; predictions go on, and the cache works again with what is the master then.
    master.kill()
    before = int(replica.cli("-a", "redis-secret", "-n", "1", "dbsize"))

    def stored():
        for _ in range(8):
            ask()
        return is_up(proxy) and int(replica.cli("-a", "redis-secret", "-n", "1", "dbsize")) > before
    until(stored, 60, lambda: f"{state(proxy)}; {said(proxy)}")
    assert "role:master" in replica.cli("-a", "redis-secret", "info", "replication")
    # The old master comes back, as a replica, and isn't gone to.
    master.start()
    until(lambda: "role:slave" in master.cli("-a", "redis-secret", "info", "replication"), 60)
    assert is_up(proxy)
    # Sentinels that know no such master, and none at all.
    lines = said(proxy)
    assert sum("WRONGPASS" in line for line in lines) == 1, lines
    with proxy.changed:
        assert not any("-secret" in line for line in proxy.lines)
    assert proxy.stop() == 0
    for url, reason in ((f"redis+sentinel://127.0.0.1:{sentinel.port}/other", "master"),
                        (f"redis+sentinel://127.0.0.1:{free_port()}/mine", "sentinel"),
                        (f"redis+sentinel://127.0.0.1:{replica.port}/mine", "password")):
        proxy = gateway(config([one("echo", backend.address, cache="{ttl: 60s}")],
                               f"cache: {{redis: {{url: '{url}', sentinel: {{passwordFile: '{sentinel_password}'}}}}}}"))
        until(lambda: errors(proxy, reason) >= 2)
        assert state(proxy)["troubles"][0]["reason"] == reason
        assert cache.ask(proxy.address, cache.v2())[0] == "sluice; fwd=miss" and proxy.stop() == 0
    for server in (sentinel, master, replica):
        server.kill()
    backend.stop()


def sentinels_over_tls():
    made, backend = certificates(), model()
    tls_flags = ("--tls-cert-file", made["cert"], "--tls-key-file", made["key"], "--tls-ca-cert-file", made["ca"],
                 "--tls-auth-clients", "no")
    secure, watched = free_port(), free_port()
    master = Server("--tls-port", str(secure), *tls_flags)
    # It watches the master in the clear, as far as it is concerned, and tells of its TLS port.
    sentinel = Server("--tls-port", str(watched), *tls_flags, "--tls-replication", "yes",
                      master=type("Secure", (), {"port": secure}))
    url = f"rediss+sentinel://localhost:{watched}/mine"
    proxy = gateway(config([one("echo", backend.address, cache="{ttl: 60s}")],
                           f"cache: {{redis: {{url: '{url}', timeout: 200ms, tls: {{ca: '{made['ca']}'}}}}}}"))
    until(lambda: is_up(proxy), what=lambda: f"{state(proxy)}")
    number = iter(range(1, 1_000_000))
    until(lambda: cache.ask(proxy.address, cache.v2(data=[next(number), 0, 0, 0]))[0] == "sluice; fwd=miss"
          and int(master.cli("dbsize")) > 0)
    assert proxy.stop() == 0
    for server in (sentinel, master):
        server.kill()
    backend.stop()


def the_api_is_not_read_under_a_stranger_s_name():
    backend = model()
    proxy = gateway(config([one("echo", backend.address)]))
    for path, name, code in (("/api/v1/config", "evil.test", 403), ("/api/v1/models", "127.0.0.1.evil.test:80", 403),
                             ("/api/v1/config", "gateway", 200), ("/api/v1/models", "gateway.ml.svc", 200),
                             ("/metrics", "evil.test", 200), ("/healthz", "evil.test", 200)):
        assert get(proxy.admin, path, headers={"host": name})[0] == code, (path, name)
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [a_password_file_is_read_again, redis_over_tls_with_a_client_certificate, refused_writes_are_told_once,
          a_failover_by_sentinels_is_followed, sentinels_over_tls,
          the_api_is_not_read_under_a_stranger_s_name]
