"""Automatic rollouts against real models: forward on evidence, back on trouble, and where they were after a kill.

    Tests/run --only a_good_canary_gets_everything
"""
import contextlib
import http.client
import json
import re
import signal
import threading
from collections import Counter

import processes
from control import BODY, PATH, call, cli, shift, weights
from processes import config, folder, gateway, get, model, until

CANARY = "/api/v1/models/iris/canary"
# Short steps; the ratios leave room for a machine that others use as well.
QUICK = {"revision": "v2", "steps": [20, 60, 100], "interval": "1s", "minRequests": 60, "minRequestsP99": 200,
         "p95Ratio": 1.8, "p99Ratio": 2.5}


def rolled(first, second, rollout="", admin=""):
    backends = lambda b: f'[{{rest: "http://{b.address}", grpc: "http://{b.address}"}}]'
    return config([f"""  - name: iris
    timeout: 3s
    {rollout}
    revisions:
      - {{name: v1, traffic: 100, backends: {backends(first)}}}
      - {{name: v2, traffic: 0, backends: {backends(second)}}}"""], admin=admin)


class Load:
    """Callers that ask one question after another, and what they saw."""

    def __init__(self, address, count=12):
        self.seen, self.stopped = Counter(), threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(address,), daemon=True) for _ in range(count)]
        [thread.start() for thread in self.threads]

    def _ask(self, address):
        connection = http.client.HTTPConnection(address, timeout=10)
        while not self.stopped.is_set():
            try:
                connection.request("POST", PATH, BODY)
                answer = connection.getresponse()
                answer.read()
                self.seen[answer.getheader("x-sluice-revision"), answer.status] += 1
            except (OSError, http.client.HTTPException):
                # The gateway was killed; another takes its place, on another port.
                connection.close()
                self.stopped.wait(0.02)

    def stop(self):
        self.stopped.set()
        [thread.join() for thread in self.threads]

    def bad(self, revision):
        return sum(n for (name, status), n in self.seen.items() if name == revision and status >= 500)


@contextlib.contextmanager
def under_load(proxy, **keys):
    load = Load(proxy.address, **keys)
    try:
        yield load
    finally:
        load.stop()


def state(proxy):
    code, answer, _ = call(proxy, "GET", CANARY)
    assert code == 200, answer
    return answer


def reaches(proxy, condition, timeout=30):
    seen = {}

    def look():
        seen.update(state(proxy))
        return condition(seen)

    until(look, timeout=timeout, what=lambda: json.dumps(seen))
    return seen


def start(proxy, **plan):
    code, answer, _ = call(proxy, "POST", CANARY, {**QUICK, **plan})
    assert code == 200, answer
    return answer


def events(proxy):
    return [e["message"] for e in call(proxy, "GET", "/api/v1/events")[1]["events"] if e["kind"] == "rollout"]


def metric(proxy, name):
    text = get(proxy.admin, "/metrics")[2].decode()
    return {m[0]: float(m[1]) for m in re.findall(rf'^{name}{{model="iris",revision="v2"(?:,result="(\w+)")?}} (\S+)$', text, re.M)}


def a_good_canary_gets_everything():
    first, second = model("--delay", "8ms", "--jitter", "4ms"), model("--revision", "v2", "--delay", "8ms", "--jitter", "4ms")
    plan = json.dumps(QUICK).replace('"', "")
    proxy = gateway(rolled(first, second, f"rollout: {plan}"))
    assert call(proxy, "GET", CANARY)[0] == 404
    with under_load(proxy) as load:
        begun = cli(proxy, "canary", "start", "iris")
        assert begun.returncode == 0 and "at 20 % (step 1 of 3)" in begun.stdout, begun
        assert weights(proxy) == {"v1": 80, "v2": 20}, "the call is answered when the weights are there"
        assert call(proxy, "POST", CANARY, QUICK)[0] == 409
        watched = cli(proxy, "canary", "status", "iris", "--watch")
        assert watched.returncode == 0 and "promoted" in watched.stdout, watched
        assert re.search(r"p95 +\d+\.\d+ ms +\d+\.\d+ ms +<= ", watched.stdout), watched.stdout
        done = state(proxy)
    assert done["status"] == "promoted" and done["weight"] == 100 and done["badAnswers"] == 0, done
    assert weights(proxy) == {"v1": 0, "v2": 100}
    assert all(status == 200 for _, status in load.seen), load.seen
    told = "\n".join(events(proxy))
    assert re.search(r"begins.*\n.*is at 20 %(.*\n)*.*is at 60 %(.*\n)*.*is promoted", told), told
    assert metric(proxy, "sluice_canary_weight") == {"": 100} and metric(proxy, "sluice_canary_status") == {"": 1}
    assert metric(proxy, "sluice_canary_checks_total")["pass"] == 2
    assert "rollout of v2 is promoted" in cli(proxy, "status").stdout
    assert call(proxy, "DELETE", CANARY)[0] == 409, "what is over can't be aborted"
    print(f"      {sum(load.seen.values())} requests, 0 errors: {dict(load.seen)}")


def errors_roll_back():
    first, second = model("--delay", "8ms"), model("--revision", "v2", "--delay", "8ms", "--fail-rate", "0.05")
    proxy = gateway(rolled(first, second))
    with under_load(proxy) as load:
        start(proxy, steps=[10, 50, 100], minRequests=100)
        done = reaches(proxy, lambda s: s["status"] != "progressing")
        assert weights(proxy) == {"v1": 100, "v2": 0}
        bad = load.bad("v2")
    assert done["status"] == "rolledBack" and done["step"] == 1, done
    assert re.search(r"success [\d.]+ % is below 99.0 % \(baseline 100.0 %, z", done["reason"]), done["reason"]
    assert abs(done["badAnswers"] - bad) <= 12, f"{bad} bad answers were seen and {done['badAnswers']} reported"
    assert bad <= 60, f"{bad} callers got a bad answer"
    assert re.search(rf"is rolled back: success .*; \d+ of its \d+ answers were bad", events(proxy)[-1]), events(proxy)
    assert metric(proxy, "sluice_canary_status") == {"": 2} and metric(proxy, "sluice_canary_weight") == {"": 0}
    print(f"      5 % errors at 10 % weight: {bad} bad answers of {sum(load.seen.values())} until it was rolled back")


def a_slow_canary_rolls_back():
    first, second = model("--delay", "15ms"), model("--revision", "v2", "--delay", "30ms")
    proxy = gateway(rolled(first, second))
    with under_load(proxy):
        start(proxy, p95Ratio=1.2, p99Ratio=1.2)
        done = reaches(proxy, lambda s: s["status"] != "progressing")
    assert done["status"] == "rolledBack" and re.search(r"p9[59] [\d.]+ ms is above", done["reason"]), done
    assert done["badAnswers"] == 0 and weights(proxy) == {"v1": 100, "v2": 0}
    print(f"      {done['reason']}")


def an_emergency_rolls_back_even_what_is_paused():
    first, second = model(), model("--revision", "v2", "--fail-rate", "1")
    proxy = gateway(rolled(first, second))
    start(proxy, interval="1h")
    assert call(proxy, "POST", CANARY + "/pause")[0] == 200
    with under_load(proxy, count=4) as load:
        done = reaches(proxy, lambda s: s["status"] != "paused", timeout=10)
    assert done["status"] == "rolledBack" and done["reason"].startswith("emergency: "), done
    assert weights(proxy) == {"v1": 100, "v2": 0}
    print(f"      all answers bad at 20 % weight: {load.bad('v2')} bad answers, though it was paused")


def no_traffic_holds_and_says_so():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(rolled(first, second))
    start(proxy, stalledAfter=2)
    held = reaches(proxy, lambda s: s["stalled"], timeout=10)
    assert held["status"] == "progressing" and held["step"] == 1 and held["weight"] == 20, held
    assert held["reason"] == "no backend of v2 has answered since the step began", held
    assert [gate["result"] for gate in held["check"]["gates"]] == ["inconclusive"] * 3
    assert sum("holds" in text for text in events(proxy)) == 1 and "is stalled" in events(proxy)[-1], events(proxy)
    assert "stalled: no backend of v2 has answered" in cli(proxy, "canary", "status", "iris").stdout
    assert metric(proxy, "sluice_canary_checks_total")["inconclusive"] >= 2


def a_kill_at_each_step_resumes_at_that_step():
    first, second = model("--delay", "4ms"), model("--revision", "v2", "--delay", "4ms")
    settings = rolled(first, second, admin=f", stateFile: {folder}/rollout.json")
    proxy = gateway(settings)
    # Without traffic no step passes by itself, so that the kill meets the one that is meant.
    start(proxy, steps=[5, 20, 60, 100])
    for step, weight in enumerate([5, 20, 60], 1):
        reaches(proxy, lambda s: s["step"] == step and s["weight"] == weight)
        proxy.stop(signal.SIGKILL)
        proxy = gateway(settings)
        after = state(proxy)
        assert (after["status"], after["step"], after["weight"]) == ("progressing", step, weight), after
        assert weights(proxy) == {"v1": 100 - weight, "v2": weight}
        assert f"goes on after a restart, at {weight} %" in events(proxy)[0], events(proxy)
        with under_load(proxy):
            reaches(proxy, lambda s: s["step"] > step)
    assert reaches(proxy, lambda s: s["status"] == "promoted")["weight"] == 100
    proxy.stop(signal.SIGKILL)
    # What is over stays over.
    proxy = gateway(settings)
    assert state(proxy)["status"] == "promoted" and weights(proxy) == {"v1": 0, "v2": 100}


def whose_doing_it_was():
    """Clients' faults are nobody's, answers from the cache prove nothing, and whoever can't be reached is at fault."""
    first, second = model("--delay", "30ms"), model("--revision", "v2", "--delay", "30ms")
    proxy = gateway(rolled(first, second, "cache: {ttl: 60s}"))
    start(proxy, steps=[50, 100], interval="1h")
    for number in range(40):
        code = get(proxy.address, PATH, b'{"instances": [["%d"]]}' % number)[0]
        assert 400 <= code < 500, code
    held = reaches(proxy, lambda s: s["check"]["clientFaults"] > 5)
    assert held["status"] == "progressing" and held["requests"] == 0 and held["badAnswers"] == 0, held
    # One question to each revision reaches a backend; over gRPC it is the same one.
    for _ in range(60):
        assert get(proxy.address, PATH, BODY)[0] == 200
    held = reaches(proxy, lambda s: s["requests"] > 0)
    assert held["requests"] == 1 and held["check"]["baselineRequests"] == 1, held
    # A canary that dies: what was under way is its fault, and what can't connect.
    with under_load(plain := gateway(rolled(first, second))) as load:
        start(plain, steps=[50, 100], interval="1h")
        reaches(plain, lambda s: s["requests"] > 20)
        second.stop(signal.SIGKILL)
        dead = reaches(plain, lambda s: s["badAnswers"] > 0 and not s["ready"])
    # Its share went to the baseline at once, so that few noticed.
    assert load.bad("v2") <= dead["badAnswers"] <= 24, (load.seen, dead)
    assert dead["reason"].endswith("no backend of v2 is ready"), dead
    # A backend that does not know the model it is configured for is at fault, whatever 404 says of the client.
    settings = rolled(first, first).replace("name: v2, traffic: 0", "name: v2, traffic: 0, modelName: tulip")
    proxy = gateway(re.sub(r', grpc: "[^"]*"', "", settings))
    with under_load(proxy):
        start(proxy, interval="1h")
        done = reaches(proxy, lambda s: s["status"] != "progressing")
    assert done["status"] == "rolledBack" and done["reason"].startswith("emergency: "), done


def grpc_is_judged_by_its_status():
    first, second = model(), model("--revision", "v2", "--fail-rate", "1")
    proxy = gateway(rolled(first, second))
    start(proxy, steps=[50, 100], interval="1h")
    from cache import ask_grpc
    bad = 0
    for number in range(500):
        if state(proxy)["status"] != "progressing":
            break
        try:
            ask_grpc(proxy.address, [number, 0, 0, 0], model="iris")
        except Exception as error:  # noqa: BLE001 - tritonclient's own, or grpcio's
            assert "UNAVAILABLE" in str(error) or "INTERNAL" in str(error) or "injected" in str(error), error
            bad += 1
    done = reaches(proxy, lambda s: s["status"] == "rolledBack")
    assert done["badAnswers"] == bad and 20 <= bad < 60, (bad, done)


def people_have_their_say():
    first, second = model(), model("--revision", "v2")
    proxy = gateway(rolled(first, second))
    for method, rest in (("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/promote")):
        code, answer, _ = call(proxy, method, CANARY + rest)
        assert code == 404 and "no rollout of 'iris'" in answer["error"], answer
    for plan, words in (({"revision": "v3"}, "no revision 'v3'; it has v1, v2"), ({"steps": [1, 5]}, "say which revision"),
                        ({"revision": "v2", "steps": [1, 5]}, "must end with 100"),
                        ({"revision": "v2", "interval": "10"}, "must be a time"), ({"revision": "v2", "pace": 1}, "unknown key")):
        code, answer, _ = call(proxy, "POST", CANARY, plan)
        assert code == 400 and words in answer["error"], answer
    start(proxy)
    # Somebody shifts by hand: the rollout stops, and says who it was.
    assert shift(proxy, 30, 70, **{"x-sluice-author": "tester"})[0] == 200
    paused = reaches(proxy, lambda s: s["status"] == "paused")
    assert paused["weight"] == 70 and "tester at 127.0.0.1" in paused["reason"], paused
    assert call(proxy, "POST", CANARY + "/pause")[0] == 409
    # It goes on from the step that has been reached: the last.
    resumed = cli(proxy, "canary", "resume", "iris", "--json")
    assert json.loads(resumed.stdout)["status"] == "promoted" and weights(proxy) == {"v1": 0, "v2": 100}, resumed
    assert shift(proxy, 100, 0)[0] == 200
    start(proxy)
    assert cli(proxy, "canary", "pause", "iris").returncode == 0 and state(proxy)["status"] == "paused"
    assert metric(proxy, "sluice_canary_status") == {"": 3}
    assert cli(proxy, "canary", "resume", "iris").returncode == 0 and state(proxy)["status"] == "progressing"
    done = cli(proxy, "canary", "promote", "iris")
    assert done.returncode == 0 and "is promoted: promoted by" in done.stdout, done
    assert weights(proxy) == {"v1": 0, "v2": 100}
    assert shift(proxy, 100, 0)[0] == 200
    start(proxy)
    done = cli(proxy, "canary", "abort", "iris")
    assert done.returncode == 0 and "is rolled back: aborted by" in done.stdout, done
    assert weights(proxy) == {"v1": 100, "v2": 0}
    refused = cli(proxy, "canary", "abort", "iris")
    assert refused.returncode == 1 and "the rollout is over: rolled back" in refused.stderr, refused
    # What the file wants started is started once.
    with open(proxy.config, "w") as file:
        file.write(rolled(first, second, "rollout: {revision: v2, steps: [30, 100], autoStart: true}"))
    assert call(proxy, "POST", "/api/v1/reload")[0] == 200
    assert state(proxy)["status"] == "rolledBack", "v2 has had its turn"


CHECKS = [
    a_good_canary_gets_everything,
    errors_roll_back,
    a_slow_canary_rolls_back,
    an_emergency_rolls_back_even_what_is_paused,
    no_traffic_holds_and_says_so,
    a_kill_at_each_step_resumes_at_that_step,
    whose_doing_it_was,
    grpc_is_judged_by_its_status,
    people_have_their_say,
]
