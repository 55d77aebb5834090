"""The files in deploy/monitoring name what the endpoint exports, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from marketarchive.collecting.metric_figures import METRICS
from marketarchive.collecting.metrics import Metrics
from tests.archive.writing import HandClock, writer

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "monitoring"
RULES = FOLDER / "marketarchive.rules.yml"
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
METRIC = re.compile(r"\b(?:marketarchive|process|python)_\w+|\bup\b")
OF_OTHERS = {
    "up",  # Prometheus makes it of each scrape
    "process_start_time_seconds",
    "process_cpu_seconds_total",  # prometheus-client's collector of the process
    "process_resident_memory_bytes",
}
WITHOUT_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool of Debian's package prometheus"
)
EXPORTED = {metric.exported: metric for metric in METRICS}


def expressions() -> dict[str, str]:
    """Every expression of the rules and of the dashboard, by where it stands."""
    text = RULES.read_text(encoding="utf-8")
    rules = re.findall(r"- alert: (\w+)\n +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", text)
    found = {f"rule {name}": block or line for name, block, line in rules}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    assert len(rules) == text.count("- alert: ") >= 10
    return found


@pytest.mark.parametrize("where", expressions())
def test_every_expression_is_of_exported_metrics_and_their_labels(where: str) -> None:
    expression = expressions()[where]
    names = set(METRIC.findall(expression))
    assert names
    assert names <= OF_OTHERS | set(EXPORTED), where
    own = [EXPORTED[name] for name in names if name in EXPORTED]
    labels = {"instance", "job", *(label for metric in own for label in metric.labels)}
    used = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
    used |= {word for listed in re.findall(r"by \(([^)]*)\)", expression) for word in listed.split(", ")}
    assert used <= labels, where


def test_every_panel_has_a_place_of_its_own() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) > 15


def test_every_alert_is_explained() -> None:
    page = (FOLDER.parent.parent / "docs" / "MONITORING.md").read_text(encoding="utf-8")
    for alert in re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")):
        assert f"| `{alert}` |" in page
    for metric in METRICS:
        assert f"| `{metric.exported}` |" in page


def test_every_alert_is_seen_to_fire() -> None:
    tests = (FOLDER / "marketarchive.rules.test.yml").read_text(encoding="utf-8")
    firing = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels:", tests))
    assert firing == set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))


def test_the_endpoint_has_every_metric_that_is_named(tmp_path: Path) -> None:
    with writer(tmp_path, HandClock()) as writing:
        metrics = Metrics(writing, 0)
        try:
            assert metrics.url is not None
            with urllib.request.urlopen(metrics.url, timeout=60) as answer:
                exported = set(re.findall(r"^# TYPE (\w+)", answer.read().decode(), re.MULTILINE))
        finally:
            metrics.close()
    named = {name for expression in expressions().values() for name in METRIC.findall(expression)}
    assert named - exported == {"up"}


@pytest.mark.process
@WITHOUT_PROMTOOL
def test_every_expression_of_the_dashboard_can_be_read_by_prometheus(tmp_path: Path) -> None:
    panels = [expression for where, expression in expressions().items() if where.startswith("panel ")]
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(panels)]
    file = tmp_path / "panels.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(panels)} rules found" in done.stdout


@pytest.mark.process
@WITHOUT_PROMTOOL
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", RULES.name),
        ("test", "rules", "marketarchive.rules.test.yml"),
        ("check", "config", "prometheus.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
