"""The manifests in docker/kubernetes fit Kubernetes, the gateway and each other.

    Tests/run --only manifests
"""
import os
import pathlib
import re
import subprocess

import jsonschema
import kubernetes_validate
import promql_parser
import yaml

import processes
from observability import DOCKER, declared, documents, rules, selectors
from processes import folder

KUBERNETES = DOCKER / "kubernetes"
# The oldest version with sidecars (restartPolicy of an init container), and a new one.
KUBERNETES_VERSIONS = ("1.29", "1.37")

# The part of the Prometheus operator's schemas (monitoring.coreos.com/v1) that the manifests use.
METADATA = {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}},
    "additionalProperties": False}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
CUSTOM = {
    "ServiceMonitor": {"type": "object", "required": ["selector", "endpoints"], "additionalProperties": False, "properties": {
        "selector": {"type": "object", "properties": {"matchLabels": TEXTS}, "additionalProperties": False},
        "endpoints": {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": False, "properties": {
            "port": {"type": "string"}, "path": {"type": "string"}, "interval": DURATION}}}}},
    "PrometheusRule": {"type": "object", "required": ["groups"], "additionalProperties": False, "properties": {
        "groups": {"type": "array", "items": {
            "type": "object", "required": ["name", "rules"], "additionalProperties": False, "properties": {
                "name": {"type": "string", "minLength": 1}, "interval": DURATION,
                "rules": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["expr"], "additionalProperties": False, "properties": {
                        "record": {"type": "string"}, "alert": {"type": "string"}, "expr": {"type": "string"},
                        "for": DURATION, "labels": TEXTS, "annotations": TEXTS},
                    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}]}}}}}}},
}


def manifests():
    """File, document and kind of all that is applied."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        if path.name in ("kustomization.yaml", "sluice.yaml"):
            continue
        for document in documents(path):
            yield path, document


def manifest(kind, name):
    found = [document for _, document in manifests() if document["kind"] == kind and document["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def manifests_fit_their_schemas():
    count = 0
    for path, document in manifests():
        count += 1
        if document["apiVersion"] == "monitoring.coreos.com/v1":
            jsonschema.validate(document, {"type": "object", "additionalProperties": False,
                                           "required": ["apiVersion", "kind", "metadata", "spec"], "properties": {
                "apiVersion": {"type": "string"}, "kind": {"enum": list(CUSTOM)}, "metadata": METADATA,
                "spec": CUSTOM[document["kind"]]}})
            continue
        for version in KUBERNETES_VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                raise AssertionError(f"{path}: {document['kind']} for Kubernetes {version}: {error.message}") from error
    # Each file is applied by the kustomization beside it, and each that a kustomization names is there.
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        listed = documents(kustomization)[0]
        there = {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml", "sluice.yaml"}
        assert set(listed["resources"]) == there, f"{kustomization} lists {listed['resources']}, there are {there}"
        for generated in listed.get("configMapGenerator", []):
            assert all((kustomization.parent / name).exists() for name in generated["files"])
    print(f"      {count} manifests, for Kubernetes {' and '.join(KUBERNETES_VERSIONS)}")


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def manifests_fit_the_gateway():
    settings = documents(KUBERNETES / "sluice.yaml")[0]
    pod = manifest("Deployment", "sluice")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    drain = seconds(settings["drainDelay"]) + seconds(settings["drainTimeout"])
    assert pod["terminationGracePeriodSeconds"] >= drain + 5, "a pod is killed while it drains"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings["listeners"][0]["address"] == f"0.0.0.0:{ports['serving']}"
    assert settings["admin"]["address"] == f"0.0.0.0:{ports['admin']}"
    for probe, path in (("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    # `workers: 0` would count the node's cores.
    assert settings["workers"] == int(container["resources"]["requests"]["cpu"])
    for part in (container, *pod["initContainers"]):
        assert part["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, part["name"]
    # A directory that follows the ConfigMap, and every path of the configuration in a volume.
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert "subPath" not in mounts["/etc/sluice"] and container["args"][-1] == "/etc/sluice/sluice.yaml"
    redis = settings["cache"]["redis"]["url"].removeprefix("unix://")
    for path in (settings["admin"]["tokenFile"], redis):
        assert os.path.dirname(path) in mounts, f"{path} is in no volume"
    assert redis in pod["initContainers"][0]["args"]
    # Every backend is a service that there is.
    for revision in settings["models"][0]["revisions"]:
        for backend in revision["backends"]:
            host, port = backend["dns"].split(":")
            service = manifest("Service", host)["spec"]
            assert service["clusterIP"] == "None" and service["ports"][0]["port"] == int(port)
    assert manifest("ServiceMonitor", "sluice")["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in manifest("Service", "sluice")["spec"]["ports"]}


def autoscalers_find_their_metrics():
    adapter = yaml.safe_load(manifest("ConfigMap", "sluice-prometheus-adapter")["data"]["config.yaml"])
    families, recorded = declared(), {rule["record"] for rule in rules() if "record" in rule}
    offered = {}
    for kind in ("rules", "externalRules"):
        for rule in adapter[kind]:
            (series, _), = selectors(promql_parser.parse(rule["seriesQuery"])) if not rule["seriesQuery"].startswith("{") else [
                (re.search(r'__name__="([^"]+)"', rule["seriesQuery"]).group(1), None)]
            assert series in families or series in recorded, f"the adapter asks for {series}"
            query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.Series>>", series)
            promql_parser.parse(query.replace("<<.LabelMatchers>>", 'namespace="sluice"'))
            offered[rule["name"]["as"]] = kind
    for _, document in manifests():
        if document["kind"] != "HorizontalPodAutoscaler":
            continue
        target = document["spec"]["scaleTargetRef"]
        assert manifest(target["kind"], target["name"])
        for metric in document["spec"]["metrics"]:
            for kind, rules_kind in (("pods", "rules"), ("external", "externalRules")):
                if kind in metric:
                    name = metric[kind]["metric"]["name"]
                    assert offered.get(name) == rules_kind, f"{document['metadata']['name']} wants {name}, offered: {offered}"


def rules_for_the_operator_are_the_same():
    made = pathlib.Path(folder) / "rules.yaml"
    subprocess.run([KUBERNETES / "monitoring/make-rules", made], check=True)
    assert made.read_text() == (KUBERNETES / "monitoring/rules.yaml").read_text(), \
        "docker/prometheus was changed; run docker/kubernetes/monitoring/make-rules"
    applied = [group for path in documents(made) for group in path["spec"]["groups"]]
    assert applied == [group for name in ("recording", "alerts")
                       for group in documents(DOCKER / f"prometheus/{name}.yaml")[0]["groups"]]


def configurations_pass_the_check():
    token = pathlib.Path(folder) / "token"
    token.write_text("secret\n")
    for path in (DOCKER / "sluice.yaml", KUBERNETES / "sluice.yaml"):
        adjusted = pathlib.Path(folder) / f"{path.parent.name}-sluice.yaml"
        adjusted.write_text(path.read_text().replace("/etc/sluice-admin/token", str(token)))
        told = subprocess.run([processes.SLUICE, "check", "--config", adjusted], capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr


def manifests_are_for_this_gateway():
    """One check of what takes a second together."""
    for look in (manifests_fit_their_schemas, manifests_fit_the_gateway, autoscalers_find_their_metrics,
                 rules_for_the_operator_are_the_same, configurations_pass_the_check):
        look()


CHECKS = [manifests_are_for_this_gateway]
