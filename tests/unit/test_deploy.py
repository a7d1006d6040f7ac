"""What deploy/ says is true: files parse, versions are pinned, commands and metrics exist, nothing runs as root."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from headrace.api.settings import Settings
from headrace.ingest.log import Partition
from headrace.ingest.memory import MemoryLog
from headrace.processors.counters import Counters
from headrace.processors.fold_metrics import FoldMetrics
from headrace.sdk.cli.main import main

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "headrace"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "monitoring" / "dashboards" / "headrace.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"topics", "views"}
OURS = {"topics", "views", "api", "worker"}
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def test_every_yaml_file_parses() -> None:
    files = [file for file in DEPLOY.rglob("*.yaml") if file.parent.name != "templates"]
    assert len(files) > 5
    assert all(yaml.safe_load(file.read_text("utf-8")) for file in files)


def images() -> Iterator[str]:
    yield from (service["image"] for service in SERVICES.values())
    yield from re.findall(r"^ARG (?:PYTHON|UV)=(\S+)$", DOCKERFILE, re.MULTILINE)


def test_every_image_is_pinned_to_a_version() -> None:
    found = list(images())
    assert len(found) >= len(SERVICES) + 2
    for image in found:
        assert re.search(r":v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$", image), image


def test_ours_has_the_version_of_the_project() -> None:
    assert {SERVICES[name]["image"] for name in OURS} == {f"headrace:{VERSION}"}
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == VERSION


# --- commands ---------------------------------------------------------------------------------------------------------


def check(words: list[str]) -> None:
    """That a command line, without `headrace`, names a command and options of it."""
    command: click.Command = main
    words = list(words)
    while words:
        word = words.pop(0)
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            options = {one: option for option in command.params for one in (*option.opts, *option.secondary_opts)}
            assert name in {*options, "--help", "-h"}, f"{command.name} has no option {name}"
            option = options.get(name)
            if isinstance(option, click.Option) and not option.is_flag and not equals:
                words.pop(0)
        elif isinstance(command, click.Group):
            assert word in command.commands, f"{command.name} has no command {word}"
            command = command.commands[word]


def test_every_command_of_compose_exists_with_its_options() -> None:
    for name in OURS:
        check(SERVICES[name]["command"])


def test_every_command_of_the_chart_exists_with_its_options() -> None:
    text = "\n".join(file.read_text("utf-8") for file in (CHART / "templates").iterdir())
    found = re.findall(r"args: \{\{ concat \(list (.*)\) \.Values", text)
    lines = [re.findall(r'"([^"]*)"', re.sub(r"\(toString [^)]*\)", '"1"', one)) for one in found]
    assert [line[0] for line in sorted(lines)] == ["server", "topics", "views", "worker"]
    for line in lines:
        check(line)


def shell_lines(page: Path) -> Iterator[str]:
    """Lines of a page's shell code that call headrace, continued ones joined."""
    for block in re.findall(r"^```(?:bash|sh)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:uv run (?:--\S+ )*(?:--extra \w+ )*)?(headrace .*)", line.strip()):
                yield match[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_docs_exists_with_its_options(page: Path) -> None:
    for line in shell_lines(page):
        words = shlex.split(line, comments=True)
        for end in ("|", ">", "&&", ";", "&"):
            words = words[: words.index(end)] if end in words else words
        check(words[1:])


# --- metrics ----------------------------------------------------------------------------------------------------------


class Standing:
    """Folds that stand still."""

    counters = Counters()
    fault = None

    def stages(self) -> Mapping[str, Mapping[Partition, int]]:
        """Nothing is viewed of one partition."""
        return {"viewed": {Partition("runs", 0): 0}}


def exported() -> dict[str, set[str]]:
    """Labels of each metric that the API or a worker has."""
    found: dict[str, set[str]] = {}
    for metric in FoldMetrics(MemoryLog(), Standing()).collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    telemetry = (ROOT / "api" / "telemetry.py").read_text("utf-8")
    [name] = re.findall(r'Histogram\(\s*"(\w+)"', telemetry)
    [labels] = re.findall(r'\(("method"[^)]*)\)', telemetry)
    for suffix in ("bucket", "count", "sum"):
        found[f"{name}_{suffix}"] = {*re.findall(r'"(\w+)"', labels), "le"}
    return found


def queries() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return shown + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def test_every_metric_and_label_of_dashboard_and_alerts_exists() -> None:
    known = exported()
    asked = {name for query in queries() for name in re.findall(r"\bheadrace_\w+", query)}
    assert asked <= set(known)
    assert {"headrace_lag", "headrace_points_total", "headrace_request_seconds_bucket", "headrace_views_fault"} <= asked
    for query in queries():
        for name, matchers in re.findall(r"\b(headrace_\w+)\{([^}]*)\}", query):
            labels = {label for label in re.findall(r"(\w+)[!=]~?=?\"", matchers) if label not in ("job", "instance")}
            assert labels <= known[name], query


def test_the_dashboard_shows_lag_rate_errors_and_latency_and_every_panel_asks_its_data_source() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    titles = " ".join(panel["title"].lower() for panel in panels)
    assert all(word in titles for word in ("lag", "points a second", "errors", "time to answer"))
    assert all(panel["datasource"]["uid"] == "${datasource}" and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in rules)
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules)


def test_prometheus_names_its_jobs_as_alerts_and_dashboard_do() -> None:
    scraped = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yaml").read_text("utf-8"))
    assert {job["job_name"] for job in scraped["scrape_configs"]} == {"headrace-api", "headrace-worker"}
    ports = {
        config["names"][0]: config["port"] for job in scraped["scrape_configs"] for config in job["dns_sd_configs"]
    }
    assert str(ports["worker"]) in SERVICES["worker"]["command"]
    assert SERVICES["api"]["ports"][0].endswith(f":{ports['api']}")


# --- containers -------------------------------------------------------------------------------------------------------


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    [user] = re.findall(r"^USER (\d+):\d+$", final, re.MULTILINE)
    assert int(user) > 0
    assert final.index("USER ") < final.index("ENTRYPOINT ")
    assert "HEALTHCHECK " in final
    assert 'ENTRYPOINT ["headrace"]' in final


def test_the_image_gets_every_package_and_no_more() -> None:
    parts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"].values()
    folders = {part.split("/")[0] for part in parts}
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    admitted = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert copied == folders
    assert admitted == {*folders, "pyproject.toml", "uv.lock", "README.md", "LICENSE"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_a_health_check_and_limits(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["cpus"]
    assert limits["memory"]
    assert service["restart"]
    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
    elif name not in OURS:  # ours have it from the image
        assert service["healthcheck"]["test"]


def test_every_container_waits_for_what_it_needs() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    for name, needed in waits.items():
        for other, how in needed.items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how == {"condition": wanted}, f"{name} waits for {other}"
    assert set(waits["api"]) == {"topics", "views", "artifacts"}
    assert set(waits["worker"]) == {"topics", "views"}


def test_every_setting_in_the_environment_is_one() -> None:
    known = {f"HEADRACE_{name.upper()}" for name in Settings.__dataclass_fields__} | {"HEADRACE_KAFKA_CONFIG"}
    text = DOCKERFILE + "".join(file.read_text("utf-8") for file in (CHART / "templates").iterdir())
    named = {name for service in OURS for name in SERVICES[service]["environment"]}
    assert {name for name in named if name.startswith("HEADRACE_")} <= known
    assert set(re.findall(r"\bHEADRACE_\w+(?==|:|\n)", text)) <= {*known, "HEADRACE_PORT"}


def test_every_volume_is_declared() -> None:
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == set(COMPOSE["volumes"])
    mounted = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith(".")]
    assert all((DEPLOY / path).exists() for path in mounted)


def rendered(*options: str) -> list[dict[str, Any]]:
    """The chart's objects. Skips where helm is not installed."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: the chart is not rendered here")
    command = [helm, "template", "release", str(CHART), "--kube-version", "1.31.0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def test_every_pod_of_the_chart_has_probes_limits_and_no_rights() -> None:
    found = [one for one in rendered() if one["kind"] == "Deployment"]
    assert len(found) == 2
    for deployment in found:
        pod = deployment["spec"]["template"]["spec"]
        # Kubernetes would put HEADRACE_PORT=tcp://… into the environment, for a service named headrace.
        assert pod["enableServiceLinks"] is False
        for container in (*pod["initContainers"], *pod["containers"]):
            assert container["securityContext"]["runAsNonRoot"] is True
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
        for container in pod["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


def test_what_can_be_turned_on_in_the_chart_is_rendered() -> None:
    switches = ("worker.keda.enabled", "api.autoscaling.enabled", "api.ingress.enabled", "monitoring.podMonitor",
                "monitoring.rules")  # fmt: skip
    kinds = [one["kind"] for one in rendered(*(f"--set={switch}=true" for switch in switches))]
    assert {"ScaledObject", "HorizontalPodAutoscaler", "Ingress", "PrometheusRule"} <= set(kinds)
    assert kinds.count("PodMonitor") == kinds.count("PodDisruptionBudget") == 2
