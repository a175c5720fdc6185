"""The JSON Schema that `sluice check --schema` prints, held to the reader: what one refuses for its type, bounds or
name, the other refuses, and what documents show passes.

    Tests/run --only schema
"""
import concurrent.futures
import copy
import os
import pathlib
import re
import subprocess

import jsonschema
import yaml

import processes
from processes import folder

ROOT = pathlib.Path(__file__).resolve().parents[2]


def schema():
    text = subprocess.run([processes.SLUICE, "check", "--schema"], check=True, capture_output=True, text=True).stdout
    result = yaml.safe_load(text)
    jsonschema.Draft202012Validator.check_schema(result)
    return result


def base():
    """A configuration that both take, with every key but those that exclude each other."""
    file = os.path.join(folder, "schema-file")
    backends = os.path.join(folder, "schema-backends")
    for path, text in ((file, "x\n"), (backends, "[]\n")):
        with open(path, "w") as out:
            out.write(text)
    tls = {"ca": file, "certificate": file, "privateKey": file, "serverName": "n", "insecureSkipVerify": True}
    return yaml.safe_load(f"""
listeners:
  - address: 127.0.0.1:8080
    tls: {{certificate: {file}, privateKey: {file}, clientCA: {file}}}
    cors: {{origins: ["https://app.example"], headers: [authorization], maxAge: 5m}}
  - address: unix:///tmp/sluice-schema.sock
admin: {{address: 127.0.0.1:9901, tokenFile: {file}, stateFile: {folder}/schema-state}}
watch: false
dnsInterval: 6s
workers: 2
drainTimeout: 5s
drainDelay: 1s
accessLog: "./log"
limits:
  {{maxRequestBytes: 1MiB, maxHeaderBytes: 32KiB, maxConnections: 10, maxConnectionsPerAddress: 5, maxConcurrentStreams: 8,
   headerTimeout: 1s, bodyTimeout: 1s, idleTimeout: 1s, maxMemory: 8GiB}}
cache:
  memory: {{maxBytes: 2MiB, maxEntryBytes: 2KiB}}
  redis: {{url: "rediss+sentinel://redis:26379/main", timeout: 5ms, prefix: "p:", passwordFile: {file}, sentinel: {{user: u, passwordFile: {file}}}, tls: {tls}}}
models:
  - name: iris
    timeout: 2s
    loadBalancing: ringHash
    hashOn: {{header: x-session}}
    slowStart: 1s
    outlier: {{consecutiveFailures: 1, baseEjection: 1s, maxEjectedPercent: 1, panicPercent: 1}}
    maxQueue: 1
    queueTimeout: 1s
    rateLimit: {{rate: 1/s, burst: 1, per: {{header: x-key}}}}
    adaptiveConcurrency: {{min: 1, max: 2}}
    idempotent: true
    retries: 2
    retryBufferBytes: 1KiB
    tryTimeout: 1s
    hedge: {{delay: 50ms, maxAttempts: 3}}
    backendIdleTimeout: 1s
    health: {{interval: 1s, timeout: 1s, path: /ready}}
    cache: {{ttl: 60s, staleWhileRevalidate: 1s, staleIfError: 1s, rows: true, warm: {{top: 10, rate: 10/s}}}}
    rollout: {{revision: v2, baseline: v1, steps: [1, 100], interval: 2s, successMargin: 2, successFloor: 98, p95Ratio: 2,
      p99Ratio: 2, maxP99: 1s, minRequests: 10, minRequestsP99: 10, failureLimit: 1, stalledAfter: 1, autoStart: true}}
    sticky: {{header: x-user, salt: s}}
    routes: [{{match: {{header: x-canary, value: v}}, revision: v2}}]
    allowRevisionHeader: true
    mirror: {{revision: v2, percent: 5, maxInFlight: 1, maxBytes: 1KiB, compare: false, tolerance: 0.1}}
    tensors: {{inputs: [{{name: in, datatype: FP32, shape: [-1, 4]}}], outputs: [{{name: out, datatype: INT64, shape: [-1]}}]}}
    revisions:
      - name: v1
        traffic: 90
        modelName: m
        dialect: triton
        backendsFile: {backends}
        backends: [{{rest: "https://127.0.0.1:8001", grpc: "https://127.0.0.1:9001", weight: 2, maxInFlight: 1, headers: {{x-key: v, authorization: {{file: {file}}}}}, tls: {tls}}}]
      - {{name: v2, traffic: 10, backends: [{{dns: "models.example:9000", protocol: [rest, grpc]}}]}}
  - name: other-keys
    loadBalancing: ringHash
    hashOn: {{cookie: c}}
    sticky: {{cookie: c}}
    rateLimit: [{{rate: 1/s, per: client}}]
    routes: [{{match: {{cookie: c, prefix: p}}, revision: v1}}]
    revisions: [{{name: v1, backendsFile: {backends}, backends: [{{rest: "http://127.0.0.1:8001"}}, {{rest: "unix:///tmp/b", grpc: "h2c+unix:///tmp/b"}}]}}]
""".replace("'", '"').replace("True", "true"))


def places(node, path=()):
    """Every place of a document: the keys that lead to it."""
    yield path
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, (*path, key))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def with_value(document, path, value):
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return document


def without(document, path):
    document = copy.deepcopy(document)
    del at(document, path[:-1])[path[-1]]
    return document


def alternatives(part):
    """What a part of the schema takes, one entry a type."""
    return [one for choice in part["anyOf"] for one in alternatives(choice)] if "properties" not in part and "anyOf" in part \
        else [part]


def part_at(part, path):
    """The part of the schema for a place of the document."""
    for key in path:
        for one in alternatives(part):
            if isinstance(key, int) and "items" in one:
                part = one["items"]
                break
            if isinstance(key, str) and key in one.get("properties", {}):
                part = one["properties"][key]
                break
            if isinstance(key, str) and isinstance(one.get("additionalProperties"), dict):
                part = one["additionalProperties"]
                break
        else:
            raise AssertionError(f"the schema has no {'.'.join(map(str, path))}")
    return part


def spelled(path):
    """As diagnostics name it: models[0].timeout."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def told(document, number):
    """What `sluice check` says of a document."""
    path = os.path.join(folder, f"schema-{number}.yaml")
    with open(path, "w") as file:
        # JSON is YAML, and says of every text that it is one.
        file.write(yaml.safe_dump(document, default_style='"') if isinstance(document, str) else yaml.safe_dump(document))
    result = subprocess.run([processes.SLUICE, "check", "--config", path], capture_output=True, text=True)
    os.remove(path)
    assert result.returncode in (0, 1), result
    return result.stderr


def wrong_values(kinds):
    """Values that a place must not have, by what the schema says of it."""
    types = {one for kind in kinds for one in ([kind["type"]] if isinstance(kind.get("type"), str) else kind.get("type", []))}
    # A mapping has its own keys, and a list its own elements.
    if not any(isinstance(kind.get("additionalProperties"), dict) for kind in kinds):
        yield {"surely-unknown": 1}
    if "array" not in types:
        yield [{"surely-unknown": 1}]
    elif "object" not in types:
        yield "no list"
    if not any("string" in types and "pattern" not in kind and "enum" not in kind for kind in kinds):
        yield "surely wrong"
    for kind in kinds:
        yield from (kind[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in kind)
        if kind.get("type") == "integer":
            yield 1.5
        elif kind.get("pattern", "").startswith("^(?="):
            yield "0s"
        elif kind.get("type") == "boolean":
            yield 2


def right_values(kinds):
    """Values at the bounds of what a place may have."""
    for kind in kinds:
        yield from (kind[bound] for bound in ("minimum", "maximum") if bound in kind)
        yield from kind.get("enum", [])
        if kind.get("type") == "boolean":
            yield from (True, False)


def told_of_each(document, cases):
    """What the reader says of each case. Wrong values of many keys are shown to it in one document; a key that it doesn't
    name there (it stops reading a section that makes no sense) is shown to it alone."""
    said, rest, round_ = [""] * len(cases), list(range(len(cases))), 0
    while rest:
        together, left, taken = copy.deepcopy(document), [], []
        for number in rest:
            path, _, value = cases[number]
            if isinstance(at(document, path), dict | list) or value == "no value" or any(cases[n][0] == path for n in taken):
                left.append(number)
                continue
            at(together, path[:-1])[path[-1]] = value
            taken.append(number)
        if not taken:
            break
        says = told(together, f"together-{round_}")
        for number in taken:
            said[number] = "\n".join(line for line in says.splitlines() if f"`{spelled(cases[number][0])}`" in line)
        rest, round_ = left, round_ + 1
    alone = [number for number, text in enumerate(said) if not text]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, text in zip(alone, pool.map(lambda number: told(cases[number][1], f"alone-{number}"), alone)):
            said[number] = text
    return said


def the_schema_and_the_reader_agree():
    rules, document = schema(), base()
    validator = jsonschema.Draft202012Validator(rules)
    good = told(document, "base")
    assert good == "", good
    jsonschema.validate(document, rules, jsonschema.Draft202012Validator)
    seen, wrong, right = set(), [], []
    for path in places(document):
        if not path:
            continue
        part = part_at(rules, path)
        seen.add(re.sub(r"\[\d+\]", "", spelled(path)))
        kinds = alternatives(part)
        wrong += [(path, with_value(document, path, value), value) for value in wrong_values(kinds)]
        right += [(path, with_value(document, path, value), value) for value in right_values(kinds)]
        # Nothing where there must be something.
        required = any(path[-1] in one.get("required", []) for one in alternatives(part_at(rules, path[:-1])))
        if isinstance(path[-1], str) and required:
            wrong += [(path, without(document, path), "no value"), (path, with_value(document, path, None), None)]
        elif isinstance(path[-1], str):
            right.append((path, with_value(document, path, None), None))
    for path in {path for path in places(document) if isinstance(at(document, path), dict)}:
        if any(isinstance(one.get("additionalProperties"), dict) for one in alternatives(part_at(rules, path))):
            continue  # Its keys are names of the writer's choice.
        wrong.append((path, with_value(document, (*path, "surely-unknown"), 1), "an unknown key"))

    def names(part, path=""):
        for one in alternatives(part):
            for key, inner in one.get("properties", {}).items():
                yield f"{path}.{key}".lstrip(".")
                yield from names(inner, f"{path}.{key}")
            if "items" in one:
                yield from names(one["items"], path)
    missing = set(names(rules)) - seen
    assert not missing, f"`base` lacks {sorted(missing)}"

    said = told_of_each(document, wrong)
    differences = []
    for (path, mutated, value), says in zip(wrong, said):
        if validator.is_valid(mutated) or not says:
            differences.append(f"{spelled(path)}: {value!r}: the schema {'takes' if validator.is_valid(mutated) else 'refuses'} "
                               f"it, the reader says {says or 'nothing'}")
    # Rules over several keys may stand against a value that is right by itself.
    bound = re.compile(r"`(\S+)` must be (from|at least [0-9]|one of|a time|a size|a whole|a number|true|text|a percentage|a list)")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        taken = list(pool.map(lambda case: told(case[1][1], f"right-{case[0]}"), enumerate(right)))
    for (path, mutated, value), says in zip(right, taken):
        complaint = [line for line in says.splitlines() if (found := bound.search(line)) and found[1] == spelled(path)]
        mistakes = [error.message for error in validator.iter_errors(mutated) if list(error.absolute_path) == list(path)]
        if complaint or mistakes:
            differences.append(f"{spelled(path)}: {value!r}: the schema says {mistakes}, the reader {complaint}")
    assert not differences, "\n".join(differences)
    print(f"      {len(seen)} places: {len(wrong)} wrong values refused by both, {len(right)} right ones by neither")


def examples():
    """Configurations that are shipped or shown: where from, and the document; parts are completed."""
    for path in (ROOT / "docker/sluice.yaml", ROOT / "docker/kubernetes/sluice.yaml"):
        yield str(path.relative_to(ROOT)), yaml.safe_load(path.read_text())
    for path in (ROOT / "README.md", *sorted((ROOT / "Sources").glob("*/*.docc/**/*.md"))):
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.S), 1):
            yield f"{path.relative_to(ROOT)}, block {number}", yaml.safe_load(block)


def completed(document, rules):
    """A part of a configuration as a whole one; None for what is none, such as a manifest of Kubernetes."""
    known = part_at(rules, ("models", 0))["properties"]
    revision = known["revisions"]["items"]["properties"]
    least = {"name": "m", "revisions": [{"name": "v1", "backends": [{"rest": "http://127.0.0.1:1"}]}]}
    whole = {"listeners": [{"address": "127.0.0.1:0"}], "models": [least]}
    if not isinstance(document, dict):
        return None
    if set(document) <= set(rules["properties"]) and not ("cache" in document and "ttl" in (document["cache"] or {})):
        # What has listeners is meant to be whole.
        if "listeners" in document or "models" not in document:
            return whole | document
        return whole | document | {"models": [least | model for model in document["models"]]}
    if set(document) <= set(known):
        return whole | {"models": [least | document]}
    if set(document) <= set(revision):
        return whole | {"models": [least | {"revisions": [least["revisions"][0] | document]}]}
    return None


def what_is_shipped_and_shown_fits_the_schema():
    rules, count = schema(), 0
    validator = jsonschema.Draft202012Validator(rules)
    for place, document in examples():
        whole = completed(document, rules)
        if whole is None:
            assert not {"listeners", "models"} & set(document), f"{place}: unknown keys at the top: {sorted(document)}"
            continue
        count += 1
        mistakes = [f"{spelled(error.absolute_path)}: {error.message}" for error in validator.iter_errors(whole)]
        assert not mistakes, f"{place}: {mistakes}"
    assert count >= 9, f"only {count} configurations found"
    print(f"      {count} configurations")


CHECKS = [the_schema_and_the_reader_agree, what_is_shipped_and_shown_fits_the_schema]
