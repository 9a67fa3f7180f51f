"""Manifests and chart for Kubernetes: whole, of the kinds' shapes, and such as shoal understands.

Nothing here runs on Kubernetes. The shapes are those that the API server insists on, by hand; where
``helm`` is installed it renders the chart, else a few lines here do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from helpers import ROOT

from shoal.cli.main import cli

FOLDER = ROOT / "deploy"
CHART = FOLDER / "helm" / "shoal"

# Kind -> API version, and the fields of its spec that have to be there.
KINDS = {
    "Service": ("v1", {"selector", "ports"}),
    "PersistentVolumeClaim": ("v1", {"accessModes", "resources"}),
    "Deployment": ("apps/v1", {"replicas", "selector", "template"}),
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}),
    "PodMonitor": ("monitoring.coreos.com/v1", {"selector", "podMetricsEndpoints"}),
}
CONTAINER = {
    *("name", "image", "args", "env", "ports", "resources", "volumeMounts", "lifecycle"),
    *("startupProbe", "readinessProbe", "livenessProbe"),
}
QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$")


def rendered(text: str, values: dict[str, Any]) -> str:
    """Do what `helm template` does with the little that the chart uses."""
    text = re.sub(
        r"\{\{- if \.Values\.(\w+) \}\}\n(.*?)\{\{- end \}\}\n",
        lambda found: found[2] if values[found[1]] else "",
        text,
        flags=re.DOTALL,
    )

    def value(found: re.Match[str]) -> str:
        where: Any = {"Values": values, "Release": {"Name": "mine"}}
        for name in found[1].split(".")[1:]:
            where = where[name]
        return f'"{where}"' if found[2] else str(where)

    text = re.sub(r"\{\{ (\.[\w.]+)( \| quote)? \}\}", value, text)
    assert "{{" not in text
    return text


def of_chart(**changed: Any) -> list[dict[str, Any]]:
    values = yaml.safe_load((CHART / "values.yaml").read_text()) | changed
    texts = [each.read_text() for each in sorted((CHART / "templates").glob("*.yaml"))]
    return [doc for text in texts for doc in yaml.safe_load_all(rendered(text, values)) if doc]


def of_manifests() -> list[dict[str, Any]]:
    files = sorted((FOLDER / "kubernetes").glob("*.yaml"))
    return [doc for file in files for doc in yaml.safe_load_all(file.read_text())]


SETS = {"manifests": of_manifests(), "chart": of_chart(monitors=True)}


def containers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    specs = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment"]
    return [container for spec in specs for container in spec["containers"]]


@pytest.mark.parametrize("name", SETS)
def test_documents_have_the_shapes_of_their_kinds(name: str) -> None:
    documents = SETS[name]
    assert sorted(d["kind"] for d in documents) == sorted([*KINDS, "Deployment"])
    for document in documents:
        version, fields = KINDS[document["kind"]]
        assert document["apiVersion"] == version
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", document["metadata"]["name"])
        assert fields <= set(document["spec"])
    for container in containers(documents):
        assert set(container) <= CONTAINER
        assert all(isinstance(each, str) for each in container["args"])
        assert all(isinstance(e.get("value", ""), str) for e in container["env"])
        amounts = [*container["resources"]["requests"].values()]
        assert all(QUANTITY.match(str(each)) for each in amounts), amounts


@pytest.mark.parametrize("name", SETS)
def test_parts_fit_together(name: str) -> None:
    """Selectors match labels, ports have their names, volumes are there, all have one secret."""
    documents = SETS[name]
    pods = [d["spec"]["template"] for d in documents if d["kind"] == "Deployment"]
    labels = [pod["metadata"]["labels"] for pod in pods]
    services = [d["metadata"]["labels"] for d in documents if d["kind"] == "Service"]
    for document in documents:
        selector = document["spec"].get("selector")
        if selector is not None:
            wanted = selector.get("matchLabels", selector)
            among = services if document["kind"] == "ServiceMonitor" else labels
            assert any(wanted.items() <= each.items() for each in among), document["metadata"]
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        named = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in named
        volumes = {each["name"] for each in pod["spec"]["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
        (secret,) = [e for e in container["env"] if e["name"] == "SHOAL_SECRET"]
        assert secret["valueFrom"]["secretKeyRef"]["key"] == "secret"
    assert len({str(c["env"][0]) for c in containers(documents)}) == 1


@pytest.mark.parametrize("name", SETS)
def test_commands_are_such_as_shoal_takes(name: str) -> None:
    """Each option that a pod is started with is one of the command's."""
    (service,) = [d for d in SETS[name] if d["kind"] == "Service"]
    for container in containers(SETS[name]):
        program, command, *arguments = container["args"]
        assert program == "shoal"
        said = CliRunner().invoke(cli, [command, "--help"]).output
        options = [each for each in arguments if each.startswith("--")]
        assert options and all(option in said for option in options), options
        if command == "worker":
            assert arguments[0] == f"tcp://{service['metadata']['name']}:8786"


@pytest.mark.parametrize("name", SETS)
def test_a_worker_hands_over_its_data_before_its_grace_period_ends(name: str) -> None:
    """The notice, the pause of preStop and the time for data are shorter together."""
    for document in SETS[name]:
        if document["metadata"]["name"].endswith("-worker") and document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            env = {e["name"]: e.get("value") for e in container["env"]}
            script = container["lifecycle"]["preStop"]["exec"]["command"][-1]
            assert env["DASK_SHOAL__PREEMPTION__FILE"] in script
            pause = int(re.search(r"sleep (\d+)", script)[1])
            seconds = int(env["DASK_SHOAL__RETIRE__AT_SIGNAL"].removesuffix("s"))
            assert pause + seconds < pod["terminationGracePeriodSeconds"]


def test_the_chart_without_monitors_has_none() -> None:
    assert not {"ServiceMonitor", "PodMonitor"} & {d["kind"] for d in of_chart()}


def test_the_image_installs_and_runs_as_nobody_special() -> None:
    lines = (FOLDER / "image" / "Dockerfile").read_text().splitlines()
    words = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert words[0] == "FROM" and words[-1] == "CMD" and "USER" in words


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed")
def test_helm_finds_nothing_wrong(tmp_path: Path) -> None:
    done = subprocess.run(["helm", "lint", str(CHART)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
