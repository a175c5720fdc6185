"""Rules and dashboard in docker/ are for this gateway: whatever they name exists, and the tools that are to
read them take them.

    Tests/run --only rules_and_dashboard_work_on_a_real_gateway
"""
import json
import os
import pathlib
import re
import socket
import subprocess
import urllib.parse

import promql_parser
import yaml

from processes import V1, Process, config, folder, get, gateway, model, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DASHBOARD = DOCKER / "grafana/dashboards/sluice.json"

# What a scrape adds, and what Prometheus makes itself.
TARGET_LABELS = {"job", "instance", "namespace", "pod"}
OF_PROMETHEUS = {"up": set()}


def text(path):
    return (DOCKER / path).read_text()


def documents(path):
    return [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]


# MARK: What the sources declare

# Counted when they happen, which they do not in the traffic below, or reported when they are configured.
EVENTS = {
    "sluice_retries_total", "sluice_retry_budget_exhausted_total", "sluice_backend_ejections_total",
    "sluice_rejected_total", "sluice_queue_seconds", "sluice_dns_lookups_total",
    "sluice_cache_rows_total", "sluice_cache_row_fallbacks_total",
    "sluice_warm_requests_total", "sluice_warm_remaining",
    "sluice_hedges_total", "sluice_decoded_bodies_total", "sluice_backend_resets_total", "sluice_backend_keepalive_timeouts_total",
    "sluice_metric_family_series_dropped_total", "sluice_offload_tasks", "sluice_offload_tasks_total",
    "sluice_concurrency_limit", "sluice_rate_limit_keys", "sluice_rate_limit_evictions_total",
}


def declared():
    """The families in the sources: name to (kind, labels)."""
    pattern = re.compile(
        r'MetricFamily\.(counter|gauge|histogram)\(\s*"([a-z_]+)",\s*help:\s*"[^"]*"(?:,\s*labels:\s*\[([^\]]*)\])?', re.S)
    return {name: (kind, set(re.findall(r'"(\w+)"', labels)))
            for path in (ROOT / "Sources").rglob("*.swift")
            for kind, name, labels in pattern.findall(path.read_text())}


# MARK: What rules and dashboard name

def rules():
    return [rule for file in ("recording", "alerts") for group in yaml.safe_load(text(f"prometheus/{file}.yaml"))["groups"]
            for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def plain(query):
    """A dashboard's query as Grafana would send it with every variable at All."""
    for variable, value in {"$__rate_interval": "10s", "$__interval": "10s", "$job": "sluice",
                            "$model": ".*", "$revision": ".*"}.items():
        query = query.replace(variable, value)
    assert "$" not in query, f"{query} has a variable that the dashboard does not define"
    return query


def queries():
    """Where from, and the query."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel '{panel['title']}'", plain(target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation '{annotation['name']}'", plain(annotation["expr"])
    for rule in rules():
        yield f"rule {rule.get('record') or rule['alert']}", rule["expr"]


def selectors(node):
    """The selectors below a node, each with the labels that operations above it name."""
    kind = type(node).__name__
    if kind == "VectorSelector":
        return [(node.name, {matcher.name for matcher in node.matchers.matchers})]
    if kind == "MatrixSelector":
        return selectors(node.vector_selector)
    if kind == "AggregateExpr":
        found, modifier = selectors(node.expr), node.modifier
        labels = set(modifier.labels) if modifier else set()
        return [(name, used | labels) for name, used in found]
    if kind == "BinaryExpr":
        labels = set(node.modifier.matching.labels) if node.modifier and node.modifier.matching else set()
        return [(name, used | labels) for name, used in selectors(node.lhs) + selectors(node.rhs)]
    if kind == "Call":
        return [found for argument in node.args for found in selectors(argument)]
    return selectors(node.expr) if hasattr(node, "expr") else []


def family_of(name, families):
    """The family whose series these are: a histogram has three names."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if families.get(base, ("",))[0] == "histogram":
        return base, families[base][1] | ({"le"} if name.endswith("_bucket") else set())
    return (name, families[name][1]) if name in families else (None, set())


def everything_that_is_named_exists():
    families, recorded = declared(), {rule["record"] for rule in rules() if "record" in rule}
    assert len(families) > 20, f"only {len(families)} families found in Sources; has their declaration changed shape?"
    # What level a recorded series has is the first part of its name.
    levels = {name: set(name.split(":")[0].split("_")) for name in recorded}
    named = set()
    for place, query in queries():
        for name, labels in selectors(promql_parser.parse(query)):
            named.add(name)
            if name in recorded:
                known = levels[name]
            elif name in OF_PROMETHEUS:
                known = OF_PROMETHEUS[name]
            else:
                family, known = family_of(name, families)
                assert family, f"{place} asks for {name}, which nothing declares"
            unknown = labels - known - TARGET_LABELS
            assert not unknown, f"{place} asks {name} for {sorted(unknown)}; it has {sorted(known)}"
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    missing = {name for name in families if name.startswith("sluice_")} - used
    print(f"      {len(used)} metrics named, all declared; on no panel and in no rule: {', '.join(sorted(missing)) or 'none'}")


# MARK: Prometheus

def promtool_takes_the_rules():
    subprocess.run(["promtool", "check", "config", DOCKER / "prometheus/prometheus.yaml"], check=True, capture_output=True)
    subprocess.run(["promtool", "check", "rules", DOCKER / "prometheus/recording.yaml", DOCKER / "prometheus/alerts.yaml"],
                   check=True, capture_output=True)
    told = subprocess.run(["promtool", "test", "rules", DOCKER / "prometheus/alerts.test.yaml"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    alerts = [rule for rule in rules() if "alert" in rule]
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert len(alert["annotations"]["summary"]) > 20 and len(alert["annotations"]["description"]) > 80, \
            f"{alert['alert']} does not say what happened and what to do"
    # Each leads to its heading in the runbook, which has no others.
    pages = {f"{ROOT / path}#{heading.lower()}" for path in ["Sources/sluice/Manual.docc/Runbook.md"]
             for heading in re.findall(r"^## (.+)$", (ROOT / path).read_text(), re.M)}
    linked = {f"{ROOT / alert['annotations']['runbook_url']}" for alert in alerts}
    assert pages == linked, f"headings without an alert: {sorted(pages - linked)}; alerts without a heading: {sorted(linked - pages)}"
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith("#" + alert["alert"].lower()), alert
    names = [rule.get("record") or rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)), "a name is given twice"


def scraped(targets):
    """A Prometheus with the rules of docker/, at a faster pace."""
    settings = yaml.safe_load(text("prometheus/prometheus.yaml"))
    settings["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(DOCKER / "prometheus" / name) for name in settings["rule_files"]]
    settings["scrape_configs"][0]["static_configs"][0]["targets"] = targets
    path = pathlib.Path(folder) / "rules-prometheus.yml"
    path.write_text(yaml.safe_dump(settings))
    process = Process("prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/rules-prometheus",
                      "--web.listen-address=127.0.0.1:0", "--log.level=info")
    process.address = process.wait_for(r'msg="Listening on" address=(\S+)')
    until(lambda: get(process.address, "/-/ready")[0] == 200, what=lambda: "Prometheus did not become ready")
    return process


def asked(prometheus, path, **parameters):
    answer = json.loads(get(prometheus.address, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")[2])
    assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
    return answer["data"]


def has_data(prometheus, query):
    return bool(asked(prometheus, "query", query=query)["result"])


def rules_and_dashboard_work_on_a_real_gateway():
    """Two gateways, so that sums and joins over several are put to the test, with Redis and some of every traffic."""
    path = f"{folder}/observed.sock"
    redis = Process("redis-server", "--unixsocket", path, "--port", "0", "--save", "", reads="stdout")
    until(lambda: os.path.exists(path))
    first, second, failing = model(), model("--revision", "v2"), model("--fail-rate", "1")
    settings = config([f"""  - name: iris
    cache: {{ttl: 60s}}
    mirror: {{revision: v3, percent: 100}}
    routes: [{{match: {{header: x-canary}}, revision: v2}}]
    revisions:
      - {{name: v1, traffic: 50, backends: [{{rest: "http://{first.address}", grpc: "http://{first.address}"}}]}}
      - {{name: v2, traffic: 50, backends: [{{rest: "http://{second.address}"}}]}}
      - {{name: v3, traffic: 0, backends: [{{rest: "http://{second.address}"}}]}}""", f"""  - name: wine
    revisions: [{{name: v1, backends: [{{rest: "http://{failing.address}"}}]}}]""", f"""  - name: lonely
    revisions:
      - {{name: v1, traffic: 100, backends: [{{rest: "http://{first.address}"}}]}}
      - {{name: v2, traffic: 0, backends: [{{rest: "http://{second.address}"}}]}}"""],
        f"cache: {{redis: {{url: 'unix://{path}'}}}}")
    proxies = [gateway(settings) for _ in range(2)]
    prometheus = scraped([proxy.admin for proxy in proxies])
    # A rollout that finds no evidence, for nobody asks this model.
    plan = json.dumps({"revision": "v2", "interval": "1s"}).encode()
    code, _, told = get(proxies[1].admin, "/api/v1/models/lonely/canary", plan, method="POST")
    assert code < 300, told
    number = iter(range(1_000_000))

    def traffic():
        for proxy in proxies:
            for _ in range(5):
                rows = json.dumps({"instances": [[next(number) % 7, 3.5, 1.4, 0.2]]}).encode()
                assert get(proxy.address, "/v1/models/iris:predict", rows)[0] == 200
            assert get(proxy.address, "/v1/models/wine:predict", V1)[0] >= 500
            assert get(proxy.address, "/v1/models/nope:predict", V1)[0] == 404
            with socket.create_connection(proxy.address.split(":"), timeout=10) as nonsense:
                nonsense.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
                nonsense.recv(1000)
        # A reload that is refused, and one that is not.
        for body in (settings.replace("traffic: 50", "traffic: 51", 1), settings):
            pathlib.Path(proxies[0].config).write_text(body)
            get(proxies[0].admin, "/api/v1/reload", b"", method="POST")
        return True

    # Every recorded series appears, and no rule is in trouble.
    def in_trouble():
        found = [rule for group in asked(prometheus, "rules")["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in found if rule["health"] != "ok"]

    until(lambda: traffic() and not in_trouble(), timeout=30, what=lambda: f"rules in trouble: {in_trouble()}")
    families = declared()

    def unseen():
        return {name for name in families if not has_data(prometheus, f'{{__name__=~"{name}(_bucket)?"}}')}

    until(lambda: traffic() and unseen() <= EVENTS,
          what=lambda: f"declared, and not in the scrape: {', '.join(sorted(unseen() - EVENTS))}")
    unborn = unseen()

    def is_alive(query):
        """Whether all that a query asks for has series."""
        return all(re.sub(r"_(bucket|sum|count)$", "", name) not in unborn
                   for name, _ in selectors(promql_parser.parse(query)))

    recorded = [(f"rule {rule['record']}", rule["record"]) for rule in rules() if "record" in rule and is_alive(rule["expr"])]
    shown = [(place, query) for place, query in queries() if place.startswith("panel") and is_alive(query)]
    for place, query in recorded + shown:
        until(lambda: traffic() and has_data(prometheus, query), what=lambda: f"{place} shows nothing: {query}")
    # The others are at least understood.
    for place, query in queries():
        asked(prometheus, "query", query=query)
    # The variables of the dashboard find what there is.
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((?:(.*), )?(\w+)\)", plain(variable["query"]["query"])).groups()
            assert asked(prometheus, f"label/{label}/values", **{"match[]": metric}), variable
    # And what fails is told: wine answers nothing but errors.
    pending = 'ALERTS{alertname="SluiceErrorRatioHigh", model="wine", revision="v1"}'
    until(lambda: traffic() and has_data(prometheus, pending), what=lambda: "nobody is told that every answer of wine fails")
    assert not has_data(prometheus, 'ALERTS{alertname="SluiceErrorRatioHigh", model="iris"}')
    print(f"      {len(recorded)} recorded series and {len(shown)} queries of panels show data; "
          f"without series here: {', '.join(sorted(unborn)) or 'none'}")
    prometheus.stop(), redis.stop()
    for process in (*proxies, first, second, failing):
        process.stop()


def what_the_file_says_and_what_runs():
    """The two gauges that alerts on configuration rest on."""
    backend = model()
    settings = config([f"""  - name: iris
    revisions:
      - {{name: v1, traffic: 100, backends: [{{rest: "http://{backend.address}"}}]}}
      - {{name: v2, traffic: 0, backends: [{{rest: "http://{backend.address}"}}]}}"""], "watch: false")
    proxy = gateway(settings)

    def gauges():
        told = get(proxy.admin, "/metrics")[2].decode()
        return tuple(int(re.search(rf"^{name} (\d)$", told, re.M).group(1)) for name in (
            "sluice_config_last_reload_successful", r'sluice_traffic_adjusted\{model="iris"\}'))

    def reload(body):
        pathlib.Path(proxy.config).write_text(body)
        get(proxy.admin, "/api/v1/reload", b"", method="POST")

    def shift(v1, v2):
        body = json.dumps({"v1": v1, "v2": v2}).encode()
        assert get(proxy.admin, "/api/v1/models/iris/traffic", body, method="PUT")[0] == 200

    assert gauges() == (1, 0)
    shift(90, 10)
    assert gauges() == (1, 1)
    reload(settings.replace("traffic: 100", "traffic: 101"))
    assert gauges() == (0, 1)
    reload(settings)
    assert gauges() == (1, 1)
    shift(100, 0)
    assert gauges() == (1, 0)
    proxy.stop(), backend.stop()


# MARK: Grafana and compose

def the_dashboard_is_whole():
    dashboard = json.loads(DASHBOARD.read_text())
    every = dashboard["panels"]
    assert dashboard["uid"] and dashboard["schemaVersion"] >= 38 and "id" not in dashboard
    assert len({panel["id"] for panel in every}) == len(every), "two panels have one id"
    taken = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, f"'{panel['title']}' lies on another panel"
        taken |= cells
    for panel in panels():
        assert panel["type"] in ("timeseries", "stat", "table", "state-timeline"), panel["type"]
        assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"], panel["title"]
        marks = [target["refId"] for target in panel["targets"]]
        assert len(set(marks)) == len(marks), panel["title"]
        for target in panel["targets"]:
            used = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            text_of = target["expr"]
            assert all(re.search(rf"by \([^)]*\b{label}\b", text_of) or label == "instance" for label in used), \
                f"'{panel['title']}' names {used}, which {text_of} does not keep"
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert names == {"datasource", "job", "model", "revision"}, names


def compose_finds_its_files():
    services = documents(DOCKER / "compose.yaml")[0]["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (DOCKER / volume.split(":")[0]).exists(), f"{name} mounts {volume}, which is not there"
    assert {"gateway", "redis", "prometheus", "grafana"} <= services.keys()
    target = documents(DOCKER / "prometheus/prometheus.yaml")[0]["scrape_configs"][0]["static_configs"][0]["targets"][0]
    host, port = target.split(":")
    assert host in services and documents(DOCKER / "sluice.yaml")[0]["admin"]["address"].endswith(":" + port)
    source = documents(DOCKER / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"][0]
    assert urllib.parse.urlparse(source["url"]).hostname in services
    provider = documents(DOCKER / "grafana/provisioning/dashboards/sluice.yaml")[0]["providers"][0]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted, mounted


def rules_and_dashboard_name_what_exists():
    """One check of what takes a second or two together."""
    for look in (promtool_takes_the_rules, everything_that_is_named_exists, the_dashboard_is_whole,
                 compose_finds_its_files):
        look()


CHECKS = [rules_and_dashboard_name_what_exists, what_the_file_says_and_what_runs,
          rules_and_dashboard_work_on_a_real_gateway]
