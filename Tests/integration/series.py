"""Metrics of models, revisions and backends that come and go.

    Tests/run --only series_go_with_what_they_are_about
"""
import os
import re

from processes import V1, folder, get, gateway, model


def written(models, path):
    """A configuration of models by name, each a list of (revision, address); every share is the same."""
    rows = []
    for name, revisions in models.items():
        shares = [100 // len(revisions)] * len(revisions)
        shares[0] += 100 - sum(shares)
        rows.append(f"  - name: {name}\n    health: {{interval: 1h}}\n    revisions:\n" + "".join(
            f"      - {{name: {revision}, traffic: {share}, backends: [{{rest: 'http://{address}'}}]}}\n"
            for (revision, address), share in zip(revisions, shares)))
    with open(path + ".new", "w") as file:
        file.write("listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: '127.0.0.1:0'}\nwatch: false\n"
                   "accessLog: off\nmodels:\n" + "".join(rows))
    os.rename(path + ".new", path)


def metric_text(proxy):
    return get(proxy.admin, "/metrics")[2].decode()


def reload(proxy):
    code, _, text = get(proxy.admin, "/api/v1/reload", b"", method="POST")
    assert code == 200, text


def revisions_of(text, name):
    return set(re.findall(name + r'\{model="echo",revision="([^"]*)"', text))


def series_go_with_what_they_are_about():
    backend, path = model(), os.path.join(folder, "series.yaml")
    written({"echo": [("v1", backend.address)]}, path)
    proxy = gateway(None, path)
    for turn in range(2, 6):
        assert get(proxy.address, "/v1/models/echo:predict", V1)[0] == 200
        names = [f"v{turn}"] + [f"r{turn}-{number}" for number in range(20)]
        written({"echo": [(name, backend.address) for name in names]}, path)
        reload(proxy)
        first, second = metric_text(proxy), metric_text(proxy)
        for text in (first, second):
            assert revisions_of(text, "sluice_requests_in_flight") == set(names)
        gone = "v1" if turn == 2 else f"v{turn - 1}"
        # The last numbers are shown once more.
        assert gone in revisions_of(first, "sluice_requests_total"), turn
        assert f'revision="{gone}"' not in second, turn
        written({"echo": [(f"v{turn}", backend.address)]}, path)
        reload(proxy)
        metric_text(proxy)
    # Back again, it begins anew and is counted as itself.
    written({"echo": [("v1", backend.address)]}, path)
    reload(proxy)
    metric_text(proxy)
    assert get(proxy.address, "/v1/models/echo:predict", V1)[0] == 200
    counted = re.findall(r'^sluice_requests_total\{model="echo",(.*)\} (\d+)', metric_text(proxy), re.M)
    assert counted == [('revision="v1",protocol="v1",code="200"', "1")], counted
    assert proxy.stop() == 0
    backend.stop()


def two_thousand_models_all_have_their_series():
    path = os.path.join(folder, "many.yaml")
    backend = model()
    models = {f"m{number}": [("v1", backend.address), ("v2", backend.address)] for number in range(2000)}
    written(models, path)
    proxy = gateway(None, path)
    for number in (0, 999, 1999):
        get(proxy.address, f"/v1/models/m{number}:predict", V1)
    text = metric_text(proxy)
    for family in ("sluice_requests_in_flight", "sluice_request_bytes_total", "sluice_backend_healthy",
                   "sluice_backend_duration_seconds_count"):
        seen = set(re.findall(r"^" + family + r'\{model="(m\d+)",revision="(v\d)"', text, re.M))
        assert len(seen) == 4000, (family, len(seen))
    assert re.search(r"^sluice_metric_series_dropped_total 0$", text, re.M)
    assert proxy.stop() == 0
    backend.stop()


CHECKS = [series_go_with_what_they_are_about, two_thousand_models_all_have_their_series]
