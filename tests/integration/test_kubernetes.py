# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes agrees with itself, with the daemons and with what they answer. (No cluster runs it here.)"""
import re
import subprocess
from functools import reduce
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OBJECTS = [(path.name, document) for path in sorted(FOLDER.glob("*.yaml")) if path.name != "kustomization.yaml"
           for document in yaml.safe_load_all(path.read_text())]
PARTS = ("ingress", "dispatcher", "worker")


def of(kind, name=None):
    return [d for _, d in OBJECTS if d["kind"] == kind and name in (None, d["metadata"]["name"])]


def one(kind, name):
    [found] = of(kind, name)
    return found


def pods():
    return {part: one("Deployment", f"sluice-{part}")["spec"]["template"] for part in PARTS}


def container(part):
    [found] = pods()[part]["spec"]["containers"]
    return found


def fits(selector, labels):
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()


def config():
    return one("ConfigMap", "sluice-config")["data"]["sluice.yaml"]


@pytest.fixture(params=PARTS)
def part(request):
    return request.param


@pytest.mark.parametrize("file, document", OBJECTS, ids=lambda v: v if isinstance(v, str) else v["kind"])
def test_each_object_is_ours_and_named_once(file, document):
    assert {"apiVersion", "kind", "metadata"} <= set(document) <= {"apiVersion", "kind", "metadata", "spec", "data", "stringData"}
    assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "sluice"
    assert document["metadata"].get("namespace", "sluice") == "sluice"
    # The two ScaledObjects are one or the other.
    same = [d for f, d in OBJECTS if (d["kind"], d["metadata"]["name"]) == (document["kind"], document["metadata"]["name"])]
    assert len(same) == (2 if document["kind"] == "ScaledObject" else 1)


def test_kustomization_names_all_but_the_examples():
    said = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {file for file, _ in OBJECTS}
    assert set(said["resources"]) == files - {"secrets.example.yaml", "worker-scaledobject-prometheus.yaml"}
    assert {image["name"] for image in said["images"]} == {container(p)["image"] for p in PARTS}


def test_the_configuration_passes(part, bin_dir, tmp_path):
    """As the real binary sees it, with the pod's own command line and variables."""
    file = tmp_path / "sluice.yaml"
    file.write_text(config())
    command = [word.replace("/etc/sluice/sluice.yaml", str(file)) for word in container(part)["command"]]
    links = one("Secret", "sluice-links")["stringData"]
    environment = {e["name"]: links[e["valueFrom"]["secretKeyRef"]["key"]] for e in container(part)["env"]}
    assert {e["valueFrom"]["secretKeyRef"]["name"] for e in container(part)["env"]} == {"sluice-links"}
    done = subprocess.run([bin_dir / command[0], *command[1:], "--check"], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_labels_selectors_and_ports_agree(part):
    deployment, pod = one("Deployment", f"sluice-{part}"), pods()[part]
    labels = pod["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == part
    assert fits(deployment["spec"]["selector"], labels)
    [budget] = [b for b in of("PodDisruptionBudget") if fits(b["spec"]["selector"], labels)]
    assert budget["metadata"]["name"] == f"sluice-{part}"
    for spread in pod["spec"]["topologySpreadConstraints"]:
        assert fits(spread["labelSelector"], labels)
    others = [pods()[p]["metadata"]["labels"] for p in PARTS if p != part]
    assert not any(fits(deployment["spec"]["selector"], other) for other in others)
    [port] = container(part)["ports"]
    assert container(part)["command"][-2:] == ["--listen", f"0.0.0.0:{port['containerPort']}"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    for service in of("Service", f"sluice-{part}"):
        assert service["spec"]["selector"].items() <= labels.items()
        assert [p["targetPort"] for p in service["spec"]["ports"]] == [port["name"]]
    assert (of("Service", f"sluice-{part}") == []) == (part == "worker")


def test_probes_ask_what_there_is(part, make_stack):
    stack = make_stack()
    for name, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        probe = container(part)[name]
        assert probe["httpGet"] == {"path": path, "port": container(part)["ports"][0]["name"]}
        assert stack.http.get(stack[part].url + path, timeout=10).status_code == 200
    path = pods()[part]["metadata"]["annotations"]["prometheus.io/path"]
    assert stack.http.get(stack[part].url + path, timeout=10).text.startswith("# ")


def test_the_grace_is_longer_than_the_drain(part, bin_dir, tmp_path):
    file = tmp_path / "sluice.yaml"
    file.write_text(config())
    said = yaml.safe_load(subprocess.run([bin_dir / f"sluice-{part}", "--config", file, "--print-config"], stdout=subprocess.PIPE,
                                         text=True, timeout=60, check=True).stdout)
    drain = {"ingress": said["ingress"]["drain_s"], "worker": said["worker"].get("drain_s"), "dispatcher": 2}[part]
    pause = container(part).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pods()[part]["spec"]["terminationGracePeriodSeconds"] >= drain + pause + 5
    if part == "worker":
        longest = max(t["timeouts"]["total_s"] for t in yaml.safe_load(config())["tenants"].values())
        assert drain >= longest + 5


def test_nothing_more_is_allowed_than_is_needed(part):
    spec = pods()[part]["spec"]
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001,
                                       "seccompProfile": {"type": "RuntimeDefault"}}
    own = container(part)["securityContext"]
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert {"cpu", "memory"} <= set(container(part)["resources"]["requests"])
    assert "memory" in container(part)["resources"]["limits"]
    [mount], [volume] = container(part)["volumeMounts"], spec["volumes"]
    assert mount["name"] == volume["name"] and mount["readOnly"] and "subPath" not in mount  # so that a change is seen
    assert volume["configMap"]["name"] == "sluice-config"


def test_policies_are_of_pods_that_exist():
    labels = {part: pods()[part]["metadata"]["labels"] for part in PARTS}
    met = {part: set() for part in PARTS}
    for policy in of("NetworkPolicy"):
        chosen = [part for part in PARTS if fits(policy["spec"]["podSelector"], labels[part])]
        assert chosen, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                [part] = chosen
                assert port["port"] == container(part)["ports"][0]["containerPort"]
        for part in chosen:
            met[part].add(policy["metadata"]["name"])
        assert set(policy["spec"]) - {"podSelector", "policyTypes"} <= {t.lower() for t in policy["spec"]["policyTypes"]}
    assert all({"sluice-nothing", "sluice-links", f"sluice-{part}"} <= met[part] for part in PARTS)
    links = one("NetworkPolicy", "sluice-links")["spec"]["egress"]
    ports = {p["port"] for rule in links for p in rule["ports"]}
    urls = one("Secret", "sluice-links")["stringData"].values()
    assert {53} | {int(re.search(r":(\d+)/", url)[1]) for url in urls} <= ports


@pytest.mark.parametrize("file", ["worker-scaledobject.yaml", "worker-scaledobject-prometheus.yaml"])
def test_what_keda_follows_is_there(file, make_stack):
    [scaled] = [d for f, d in OBJECTS if f == file and d["kind"] == "ScaledObject"]
    spec = scaled["spec"]
    target = spec["scaleTargetRef"]
    deployment = one(target["kind"], target["name"])
    assert target["apiVersion"] == deployment["apiVersion"]
    assert "replicas" not in deployment["spec"], "an apply would undo what KEDA did"
    assert spec["minReplicaCount"] == 0 < spec["maxReplicaCount"] and spec["pollingInterval"] <= 10 < spec["cooldownPeriod"]
    [trigger] = spec["triggers"]
    said = trigger["metadata"]
    assert all(isinstance(v, str) for v in said.values())  # as KEDA wants them
    stack = make_stack(workers=0)
    if trigger["type"] == "metrics-api":
        service, path = re.fullmatch(r"http://([a-z-]+)\.sluice\.svc:8081(/.*)", said["url"]).groups()
        assert one("Service", service)["spec"]["ports"][0]["port"] == 8081
        answer = stack.ask(path)
        assert reduce(lambda d, key: d[key], said["valueLocation"].split("."), answer.json()) == 0
        assert "desired_workers" in answer.json()["tenants"]["sample"]  # tenants.NAME.desired_workers
        [secret] = one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"]
        assert (said["authMode"], secret["parameter"]) == ("bearer", "token")
        assert secret["key"] in one("Secret", secret["name"])["stringData"]
    else:
        metric = re.fullmatch(r"max\((\w+)\)", said["query"])[1]
        text = stack.http.get(stack["dispatcher"].url + "/metrics", timeout=10).text
        assert f"\n{metric} 0" in text and said["ignoreNullValues"] == "false"


def test_the_scaler_s_key_may_read():
    keys = {key["name"]: key for key in yaml.safe_load(config())["keys"]}
    assert keys["keda"]["scopes"] == ["read"]
    # What stands in an example is nobody's key.
    assert all(int(key["hash"].removeprefix("sha256:"), 16) < 100 for key in keys.values())
