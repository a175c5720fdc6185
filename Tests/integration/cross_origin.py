"""Web pages of other origins, as browsers ask for them (CORS).

    Tests/run --only pages_of_allowed_origins_may_call
"""
import subprocess

from processes import config, gateway, model, one

PREDICT, BODY = "/v1/models/iris:predict", '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
PREFLIGHT = ["-X", "OPTIONS", "-H", "access-control-request-method: POST",
             "-H", "access-control-request-headers: authorization,content-type"]
GOOD, FOREIGN = ["-H", "origin: https://app.example"], ["-H", "origin: https://evil.example"]


def curl(address, path, *flags):
    """The answer's status and fields (a list per name), by curl."""
    text = subprocess.run(["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-D", "-", *flags, f"http://{address}{path}"],
                          capture_output=True, text=True, check=True).stdout
    lines = text.replace("\r", "").strip().split("\n\n")[-1].split("\n")
    fields = {}
    for name, _, value in (line.partition(":") for line in lines[1:]):
        fields.setdefault(name.lower(), []).append(value.strip())
    return int(lines[0].split()[1]), fields


def policy(text, backend):
    return config([one("iris", backend.address, cache="{ttl: 60s}")]).replace("'127.0.0.1:0'}]", f"'127.0.0.1:0', cors: {text}}}]", 1)


def silent(fields):
    return not [name for name in fields if name.startswith("access-control-")]


def pages_of_allowed_origins_may_call():
    backend = model()
    proxy = gateway(policy('{origins: ["http://localhost:3000", "https://app.example"], headers: [Authorization], maxAge: 5m}', backend))
    for version in ("--http1.1", "--http2-prior-knowledge"):
        status, fields = curl(proxy.address, PREDICT, version, *GOOD, *PREFLIGHT)
        assert status == 204 and fields["access-control-allow-origin"] == ["https://app.example"], (status, fields)
        assert "POST" in fields["access-control-allow-methods"][0] and fields["access-control-max-age"] == ["300"], fields
        allowed = {name.strip() for name in fields["access-control-allow-headers"][0].split(",")}
        assert {"authorization", "content-type", "inference-header-content-length"} <= allowed, fields
        assert fields["vary"] == ["origin"] and "content-length" not in fields, fields
        status, fields = curl(proxy.address, PREDICT, version, *FOREIGN, *PREFLIGHT)
        assert status == 405 and silent(fields), (status, fields)
        # Relayed, from the cache, our own, an error, a path that isn't there: the page may read each.
        for path, flags, wanted in ((PREDICT, ["-d", BODY], 200), (PREDICT, ["-d", BODY], 200), (PREDICT, ["-d", "{"], None),
                                    ("/v2", [], 200), ("/v2/models/iris", [], 200), ("/v2/models/none", [], 404), ("/none", [], 404)):
            flags = ["-H", "content-type: application/json", *flags]
            status, fields = curl(proxy.address, path, version, *GOOD, *flags)
            assert wanted in (status, None), (path, status)
            assert fields["access-control-allow-origin"] == ["https://app.example"], (path, fields)
            assert "x-sluice-backend" in fields["access-control-expose-headers"][0] and "origin" in fields["vary"], (path, fields)
            for other in (FOREIGN, [], ["-H", "origin: null"], ["-H", "origin: https://app.example.evil"]):
                again, fields = curl(proxy.address, path, version, *other, *flags)
                assert again == status and silent(fields), (path, other, fields)
    anyone = gateway(policy('{origins: ["*"]}', backend))
    status, fields = curl(anyone.address, PREDICT, *FOREIGN, *PREFLIGHT)
    assert status == 204 and fields["access-control-allow-origin"] == ["*"] and "vary" not in fields, (status, fields)
    plain = gateway(config([one("iris", backend.address)]))
    status, fields = curl(plain.address, PREDICT, *GOOD, *PREFLIGHT)
    assert status == 405 and silent(fields), (status, fields)
    status, fields = curl(plain.address, PREDICT, *GOOD, "-d", BODY)
    assert status == 200 and silent(fields) and "vary" not in fields, (status, fields)


CHECKS = [pages_of_allowed_origins_may_call]
