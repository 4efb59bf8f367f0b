"""Dashboard and alerts name metrics and labels that the code has, in queries that can be parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import promql_parser
import pytest
import yaml  # type: ignore[import-untyped]
from flask import Flask

import hybrid_ocr_api.metrics
import hybrid_ocr_worker.metrics
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import Lane
from hybrid_ocr_core.job_queue import Depth
from tests.conftest import ROOT

_FOLDER = ROOT / "infra" / "observability"
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
#: Prometheus's own, of each target.
_UP = {"up": {"job", "instance"}}
#: Nothing else may be told apart: whatever has more values than a page shows is no label.
_LABELS = {"transition", "state", "lane", "code", "triage", "route", "method", "status", "source", "stage"} | {
    "kind",
    "outcome",
}


def _metrics() -> dict[str, set[str]]:
    """Every number that a scrape may show -> its labels."""
    assert hybrid_ocr_api.metrics
    assert hybrid_ocr_worker.metrics
    found = {}
    for collector in REGISTRY._collector_to_names:
        metric: Any = collector
        for suffix in _SUFFIXES[metric._type]:
            found[metric._name + suffix] = set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
    return found


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((_FOLDER / "alerts.yml").read_text())["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads((_FOLDER / "grafana" / "dashboard.json").read_text())["panels"]
    return panels


def _queries() -> list[str]:
    of_panels = [target["expr"] for panel in _panels() for target in panel.get("targets", [])]
    return [rule["expr"] for rule in _rules()] + [query.replace("$__rate_interval", "5m") for query in of_panels]


def _selectors(node: Any) -> Iterator[Any]:
    """Every selector of a parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        yield from _selectors(getattr(node, name)) if getattr(node, name, None) is not None else ()
    for argument in getattr(node, "args", None) or ():
        yield from _selectors(argument)


def test_the_metrics_have_no_label_that_may_have_many_values() -> None:
    metrics = _metrics()

    assert len(metrics) > 20
    assert set().union(*metrics.values()) - {"le"} == _LABELS
    assert all(name.startswith("hybrid_ocr_") for name in metrics)


@pytest.mark.parametrize("query", _queries())
def test_every_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    recorded = {rule["record"]: {"lane"} for rule in _rules() if "record" in rule}
    known = _metrics() | _UP | recorded

    selectors = list(_selectors(promql_parser.parse(query)))

    assert len(selectors) == len(re.findall(r"hybrid_ocr[:_]\w+|\bup\b", query))  # the walk missed none
    for selector in selectors:
        assert selector.name in known
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[selector.name] | {"job"}
    asked_by = {label.strip() for labels in re.findall(r"(?:by|on) \(([^)]*)\)", query) for label in labels.split(",")}
    assert asked_by <= set().union(*(known[selector.name] for selector in selectors))


def test_every_metric_is_on_the_dashboard_or_watched_and_documented() -> None:
    readme = (_FOLDER / "README.md").read_text()
    queries = "\n".join(_queries())
    for collector in REGISTRY._collector_to_names:
        metric: Any = collector
        shown = metric._name + ("_total" if metric._type == "counter" else "")
        assert shown in queries
        assert re.search(
            rf"^\| `{shown}` \| {', '.join(f'`{label}`' for label in metric._labelnames)} ?\|", readme, re.MULTILINE
        )


def test_every_alert_says_what_is_wrong_and_the_readme_what_to_do() -> None:
    alerts = [rule for rule in _rules() if "alert" in rule]
    readme = (_FOLDER / "README.md").read_text()

    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 10
    for alert in alerts:
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"]["summary"].endswith(".")
        assert f"`{alert['alert']}`" in readme
        assert re.fullmatch(r"\d+[smh]", alert.get("for", "1m"))


def test_the_words_in_matchers_are_those_of_the_code(app: Flask) -> None:
    hybrid_ocr_worker.metrics.lane_counted(Lane.NORMAL, Depth(waiting=1, in_flight=0))
    jobs = yaml.safe_load((_FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    values: dict[str, set[str]] = {
        "job": {job["job_name"] for job in jobs},
        "route": {rule.rule for rule in app.url_map.iter_rules()},
        "method": {method for rule in app.url_map.iter_rules() for method in rule.methods or ()},
        "status": {str(status.value) for status in HTTPStatus},
    }
    for family in REGISTRY.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
    asked = re.findall(r'(\w+)(=~|!~|!?=)"([^"]+)"', "\n".join(_queries()))

    assert {label for label, _, _ in asked} >= {"state", "lane", "code", "outcome", "job", "route", "method", "status"}
    for label, operator, words in asked:
        for word in words.split("|") if operator.endswith("~") else [re.escape(words)]:
            assert any(re.fullmatch(word, value) for value in values[label]), (label, word)


def test_no_two_panels_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in _panels()}) == len(_panels())


def test_compose_mounts_what_is_there_and_scrapes_the_ports_that_it_sets() -> None:
    services = yaml.safe_load((_FOLDER / "compose.yml").read_text())["services"]
    targets = {
        job["job_name"]: job["dns_sd_configs"][0]
        for job in yaml.safe_load((_FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    }

    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert services["api"]["environment"] == {"OCR_METRICS_OPEN": "1"}
    assert services["worker"]["environment"] == {"OCR_METRICS_PORT": str(targets["hybrid-ocr-worker"]["port"])}
    assert targets["hybrid-ocr-api"]["port"] == 8000
    base = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {found["names"][0] for found in targets.values()} == {"api", "worker"} <= base.keys()
