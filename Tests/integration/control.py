"""Operators at the wheel: weights shift at once and survive reloads and restarts, broken files change nothing, and
whoever is served meanwhile notices nothing.

    Tests/run --only control
"""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
from collections import Counter

import jsonschema
import openapi_spec_validator
import processes
from processes import clients, config, folder, gateway, get, model, one, until

BODY = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]}).encode()
PATH = "/v1/models/iris:predict"


def iris(first, second, traffic=(100, 0)):
    return [f"""  - name: iris
    timeout: 3s
    revisions:
      - {{name: v1, traffic: {traffic[0]}, backends: [{{rest: "http://{first.address}"}}]}}
      - {{name: v2, traffic: {traffic[1]}, backends: [{{rest: "http://{second.address}"}}]}}"""]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def call(proxy, method, path, body=None, **headers):
    text = None if body is None else json.dumps(body).encode()
    code, fields, answer = get(proxy.admin, path, text, headers, method=method)
    return code, json.loads(answer), fields


def weights(proxy):
    return {r["name"]: r["traffic"] for r in call(proxy, "GET", "/api/v1/models/iris")[1]["revisions"]}


def revision(proxy):
    code, fields, answer = get(proxy.address, PATH, BODY)
    assert code == 200, (code, answer)
    return fields["x-sluice-revision"]


def shift(proxy, v1, v2, **headers):
    return call(proxy, "PUT", "/api/v1/models/iris/traffic", {"v1": v1, "v2": v2}, **headers)


def cli(proxy, *arguments):
    return subprocess.run(
        [processes.SLUICE, *arguments, "--admin", f"http://{proxy.admin}"], capture_output=True, text=True
    )


def the_api_describes_itself():
    backend = model()
    proxy = gateway(config([one("iris", backend.address)]))
    described = json.loads(get(proxy.admin, "/api/v1/openapi.json")[2])
    openapi_spec_validator.validate(described)
    # What a wrong path is answered lists what there is, but for the page's own files.
    listed = call(proxy, "GET", "/nothing")[1]["error"].split("there are ")[1].split(", ")
    assert set(described["paths"]) == {path for path in listed if not path.startswith("/dashboard/")}
    for path, methods in described["paths"].items():
        allowed = call(proxy, "TRACE", re.sub(r"{\w+}", "x", path))[2]["allow"].split(", ")
        assert set(allowed) == {m.upper() for m in methods if m != "parameters"}, (path, allowed)
    state = call(proxy, "GET", "/api/v1/models/iris")[1]
    schema = {"$ref": "#/components/schemas/Model", "components": described["components"]}
    jsonschema.validate(state, schema)


def a_shift_holds_for_every_request_that_follows():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(iris(first, second)))
    assert {revision(proxy) for _ in range(20)} == {"v1"}
    for round in range(50):
        to_second = round % 2 == 0
        code, state, fields = shift(proxy, 0 if to_second else 100, 100 if to_second else 0)
        assert code == 200, state
        assert fields["etag"] == f'"{state["generation"]}"', fields
        assert {revision(proxy) for _ in range(4)} == {"v2" if to_second else "v1"}
    moves = [e for e in call(proxy, "GET", "/api/v1/events")[1]["events"] if e["kind"] == "traffic"]
    assert len(moves) == 50 and moves[0]["from"] == "v1=100 v2=0" and moves[0]["to"] == "v1=0 v2=100", moves[:1]


def a_thousand_shifts_disturb_nobody():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(iris(first, second), "workers: 2"))
    stop = threading.Event()
    seen, errors = Counter(), []
    # What may answer: the revisions with weight in any generation alive during the request.
    current = [{"v1"}]

    def load():
        connection = http.client.HTTPConnection(proxy.address)
        while not stop.is_set():
            began = len(current) - 1
            connection.request("POST", PATH, BODY)
            response = connection.getresponse()
            response.read()
            allowed = set().union(*current[max(0, began - 1):])
            name = response.getheader("x-sluice-revision")
            if response.status != 200 or name not in allowed:
                errors.append((response.status, name, allowed))
            seen[name] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    settings = [(100, 0), (0, 100), (50, 50), (0.01, 99.99)]
    for round in range(1000):
        v1, v2 = settings[(round + 1) % 4]
        # Noted before it begins to hold: a request may meet it from here on.
        current.append({name for name, weight in (("v1", v1), ("v2", v2)) if weight})
        assert shift(proxy, v1, v2)[0] == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    print(f"      1000 shifts, {sum(seen.values())} requests, 0 errors: {dict(seen)}")


def refusals_say_why_and_change_nothing():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(iris(first, second)))
    cases = [
        ({"v1": 60, "v2": 30}, 400, "must sum to 100, not 90"),
        ({"v1": 60, "v3": 40}, 400, "no revision 'v3'; it has v1, v2"),
        ({"v1": 60.001, "v2": 39.999}, 400, "two decimals"),
        ({"v1": "60", "v2": 40}, 400, "percentage"),
        ([], 400, "weights by revision"),
    ]
    for body, code, words in cases:
        got, answer, _ = call(proxy, "PUT", "/api/v1/models/iris/traffic", body)
        assert got == code and words in answer["error"], (body, got, answer)
    assert call(proxy, "PUT", "/api/v1/models/rose/traffic", {"v1": 100})[0] == 404
    generation = call(proxy, "GET", "/api/v1/models/iris")[1]["generation"]
    assert shift(proxy, 50, 50, **{"if-match": f'"{generation}"'})[0] == 200
    code, answer, _ = shift(proxy, 40, 60, **{"if-match": f'"{generation}"'})
    assert code == 409 and "changed meanwhile" in answer["error"], answer
    code, answer, _ = call(proxy, "PUT", "/api/v1/models/iris/traffic?dryRun=true", {"v1": 1, "v2": 99})
    assert code == 200 and answer["revisions"][1]["traffic"] == 99, answer
    assert weights(proxy) == {"v1": 50, "v2": 50}
    code, answer, fields = call(proxy, "POST", "/api/v1/models/iris/traffic", {})
    assert code == 405 and fields["allow"] == "PUT, DELETE", fields


def the_token_guards_what_changes_state():
    first, second = model(), model("--revision", "v2")
    token = f"{folder}/token"
    write(token, "sesame\n")
    proxy = gateway(config(iris(first, second), admin=f", tokenFile: {token}"))
    assert shift(proxy, 50, 50)[0] == 401
    assert shift(proxy, 50, 50, authorization="Bearer sesam")[0] == 401
    assert call(proxy, "POST", "/api/v1/reload")[0] == 401
    assert call(proxy, "DELETE", "/api/v1/models/iris/cache")[0] == 401
    assert weights(proxy) == {"v1": 100, "v2": 0}
    assert shift(proxy, 50, 50, authorization="Bearer sesame")[0] == 200
    done = cli(proxy, "traffic", "iris", "v1=10", "v2=90", "--token-file", token)
    assert done.returncode == 0 and "90 %" in done.stdout, done
    refused = cli(proxy, "traffic", "iris", "v1=10", "v2=90")
    assert refused.returncode == 1 and "tokenFile" in refused.stderr, refused


def browsers_change_nothing_for_strangers():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(config(iris(first, second)))
    port = proxy.admin.split(":")[1]
    # A page of another site; and one that has given its own name our address.
    for origin, host in (("http://evil.example", proxy.admin), (f"http://evil.example:{port}", f"evil.example:{port}")):
        assert shift(proxy, 50, 50, origin=origin, host=host)[0] == 403, origin
    assert weights(proxy) == {"v1": 100, "v2": 0}
    for host in (proxy.admin, f"localhost:{port}"):
        assert shift(proxy, 50, 50, origin=f"http://{host}", host=host)[0] == 200, host


def shifts_outlive_reloads_and_kills():
    first, second = model(), model("--revision", "v2")
    state = f"{folder}/state.json"
    settings = config(iris(first, second), admin=f", stateFile: {state}")
    proxy = gateway(settings)
    assert shift(proxy, 25, 75)[0] == 200
    assert call(proxy, "PUT", f"/api/v1/models/iris/revisions/v1/backends/{first.address}", {"state": "drain"})[0] == 200
    code, answer, _ = call(proxy, "POST", "/api/v1/reload")
    assert code == 200 and any("keeps the weights" in note for note in answer["notes"]), answer
    assert weights(proxy) == {"v1": 25, "v2": 75}
    proxy.stop(signal.SIGKILL)
    again = gateway(settings)
    assert weights(again) == {"v1": 25, "v2": 75}
    # v1 drains, so its share goes to v2.
    assert {revision(again) for _ in range(30)} == {"v2"}
    assert call(again, "DELETE", "/api/v1/models/iris/traffic")[1]["revisions"][0]["traffic"] == 100
    again.stop(signal.SIGKILL)
    write(state, "{half a fi")
    third = gateway(settings)
    assert weights(third) == {"v1": 100, "v2": 0}
    assert os.path.exists(state + ".damaged")


def a_drained_backend_gets_nothing_until_it_is_ready():
    first, second = model(), model()
    models = [
        f"""  - name: iris
    revisions:
      - name: v1
        backends: [{{rest: "http://{first.address}"}}, {{rest: "http://{second.address}"}}]
"""
    ]
    proxy = gateway(config(models))
    target = f"/api/v1/models/iris/revisions/v1/backends/{first.address}"

    def answered_by():
        return {get(proxy.address, PATH, BODY)[1]["x-sluice-backend"] for _ in range(20)}

    assert answered_by() == {first.address, second.address}
    for state in ("drain", "maint"):
        code, answer, _ = call(proxy, "PUT", target, {"state": state})
        assert code == 200 and answer["revisions"][0]["backends"][0]["state"] == state, answer
        assert answered_by() == {second.address}
    assert call(proxy, "PUT", target, {"state": "ready"})[0] == 200
    assert answered_by() == {first.address, second.address}
    assert call(proxy, "PUT", target, {"state": "asleep"})[0] == 400
    assert call(proxy, "PUT", "/api/v1/models/iris/revisions/v1/backends/10.0.0.1:1", {"state": "drain"})[0] == 404


def a_changed_file_is_read_by_itself():
    first, second = model(), model("--revision", "v2")
    place = pathlib.Path(folder) / "mounted"
    good, better = config(iris(first, second)), config(iris(first, second, (0, 100)))
    # As Kubernetes mounts a ConfigMap: the file is a link through a link that is swapped.
    for name, text in (("one", good), ("two", better)):
        (place / name).mkdir(parents=True)
        (place / name / "sluice.yaml").write_text(text)
    os.symlink("one", place / "..data")
    os.symlink("..data/sluice.yaml", place / "sluice.yaml")
    proxy = gateway(None, str(place / "sluice.yaml"))
    assert revision(proxy) == "v1"
    os.symlink("two", place / "..new")
    os.replace(place / "..new", place / "..data")
    until(lambda: revision(proxy) == "v2")
    # A broken one is reported with its place and changes nothing.
    (place / "two" / "sluice.yaml").write_text(better.replace("traffic: 100", "traffic: 99"))
    events = lambda: [e["message"] for e in call(proxy, "GET", "/api/v1/events")[1]["events"]]
    until(lambda: any("refused" in text for text in events()))
    assert any("sluice.yaml:" in text and "sums to 99, not 100" in text for text in events()), events()
    assert revision(proxy) == "v2"


def two_hundred_reloads_disturb_nobody():
    first, second = model(), model("--revision", "v2")
    good = config(iris(first, second, (50, 50)), "watch: false")
    proxy = gateway(good)
    stop, errors, count = threading.Event(), [], Counter()

    def load():
        connection = http.client.HTTPConnection(proxy.address)
        while not stop.is_set():
            connection.request("POST", PATH, BODY)
            response = connection.getresponse()
            response.read()
            count[response.status] += 1
            if response.status != 200:
                errors.append(response.status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: sum(count.values()) > 100)
    before = clients(first.address)
    broken = 0
    for round in range(200):
        if round % 3 == 0:
            write(proxy.config, good.replace("traffic: 50", "traffic: 51", 1))
        else:
            write(proxy.config, good.replace("timeout: 3s", f"timeout: {3 + round % 5}s"))
        code, answer, _ = call(proxy, "POST", "/api/v1/reload")
        if round % 3 == 0:
            broken += 1
            assert code == 400 and answer["diagnostics"][0]["line"] > 1, answer
            assert "sums to 101" in answer["error"], answer
        else:
            assert code == 200, answer
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    lost = before - clients(first.address)
    assert before and not lost, f"{len(lost)} of {len(before)} connections to an unchanged backend were closed"
    print(f"      200 reloads, {broken} of them broken, {count[200]} requests, 0 errors, {len(before)} backend connections kept")


def backends_come_from_a_file_and_from_names():
    first, second, third = model(), model(), model()
    listed = f"{folder}/backends.json"
    port = third.address.split(":")[1]
    write(listed, json.dumps([{"rest": f"http://{first.address}"}]))
    proxy = gateway(config([f"""  - name: iris
    revisions:
      - {{name: v1, backendsFile: {listed}}}
  - name: echo
    revisions:
      - name: v1
        backends: [{{dns: "localhost:{port}", protocol: rest}}]"""], "watch: false"))

    def answered_by(name="iris"):
        answers = [get(proxy.address, f"/v1/models/{name}:predict", BODY) for _ in range(10)]
        return {fields.get("x-sluice-backend", status) for status, fields, _ in answers}

    assert answered_by() == {first.address}
    assert third.address in answered_by("echo")
    write(listed + ".new", json.dumps([{"rest": f"http://{first.address}"}, {"rest": f"http://{second.address}"}]))
    os.replace(listed + ".new", listed)
    until(lambda: answered_by() == {first.address, second.address})
    write(listed, "[]")
    until(lambda: answered_by() == {503})
    write(listed, json.dumps([{"rest": f"http://{second.address}"}]))
    until(lambda: answered_by() == {second.address})


CHECKS = [
    the_api_describes_itself,
    a_shift_holds_for_every_request_that_follows,
    a_thousand_shifts_disturb_nobody,
    refusals_say_why_and_change_nothing,
    the_token_guards_what_changes_state,
    browsers_change_nothing_for_strangers,
    shifts_outlive_reloads_and_kills,
    a_drained_backend_gets_nothing_until_it_is_ready,
    a_changed_file_is_read_by_itself,
    backends_come_from_a_file_and_from_names,
    two_hundred_reloads_disturb_nobody,
]
