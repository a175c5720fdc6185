"""A real Redis that refuses, moves its password or wants TLS: what operators are told, and that it's told without secrets.

    Tests/run --only store
"""
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
    assert cache.ask(proxy.address, cache.v2())[0] == "sluice; fwd=miss"
    until(lambda: redis_cli(redis, "-n", "1", "dbsize").strip() == "1")
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
          the_api_is_not_read_under_a_stranger_s_name]
