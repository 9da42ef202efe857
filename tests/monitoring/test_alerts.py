"""The shipped alerts: what they name exists, each has its page, and each fires when it should and not otherwise."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from letrade_topo.model.units import Duration
from tests.monitoring.cases import CASES, SPACE, AlertCase, Series
from tests.monitoring.rules import OURS, ROOT, RULES, RUNBOOKS, Alert, alerts, expressions, family

REFERENCES = ("agent-metrics.md", "watch-metrics.md")
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
ALERTS = alerts()


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    path = shutil.which("promtool")
    assert path, "promtool is missing: Debian's package prometheus has it; script/test installs it"
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=120)


def known_metrics() -> set[str]:
    """Every metric that the references name, which are generated from the code; each family by its own name."""
    text = "".join((ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") for name in REFERENCES)
    return {family(name) for name in OURS.findall(text)}


def test_prometheus_takes_them() -> None:
    """Syntax, functions, templates; no rule twice."""
    answer = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_metric_exists() -> None:
    """A rule on a metric that nobody exports never fires."""
    named = {family(name) for expression in expressions() for name in OURS.findall(expression)}

    recorded = {"letrade_agent_messages", "letrade_agent_rejected_per_messages"}  # parts of recording rules' names
    assert named - recorded <= known_metrics()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_each_says_what_a_person_needs(alert: Alert) -> None:
    """Severity, summary without variables, description, and a runbook with all its sections under its own name."""
    assert alert.severity in {"info", "warning", "critical"}
    assert "{{" not in alert.annotations["summary"]
    assert alert.annotations["description"]
    assert alert.annotations["runbook_url"].endswith(f"/runbooks/{alert.name}")
    page = (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert.name}\n")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == SECTIONS


def test_no_page_without_an_alert() -> None:
    """Nor an alert that was renamed and left its page."""
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == {alert.name for alert in ALERTS}


def test_a_case_for_each_alert() -> None:
    """In each of its severities."""
    assert {(case.alert, case.severity) for case in CASES} == {(alert.name, alert.severity) for alert in ALERTS}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.severity}")
def test_descriptions_name_labels_that_are_there(case: AlertCase) -> None:
    """A template with a label that the expression has summed away leaves a hole in the text."""
    (alert,) = [one for one in ALERTS if (one.name, one.severity) == (case.alert, case.severity)]

    used = set(re.findall(r"\$labels\.(\w+)", alert.annotations["description"]))

    assert used <= case.labels.keys() | ({"pod", "namespace"} if alert.name.endswith("Down") else set())


@pytest.mark.wide
def test_each_fires_and_does_not(tmp_path: Path) -> None:
    """In Prometheus' own evaluation: not before its time, then with these labels, and never on the quiet series."""
    series: list[dict[str, str]] = []
    checks: list[dict[str, Any]] = []
    for number, case in enumerate(CASES):
        place = f"case{number}"
        series += [*_series(case.fires, f"{place}-fires"), *_series(case.quiet, f"{place}-quiet")]
        checks += [_fires(case, f"{place}-fires"), _never(case, case.at, f"{place}-quiet")]
        if case.early:
            checks.append(_never(case, case.early, f"{place}-fires"))
    group = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [group]}
    file = tmp_path / "alerts-test.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")

    answer = promtool("test", "rules", str(file))

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_cases_are_looked_at_in_time() -> None:
    """A moment before which an alert cannot fire comes no later than the one at which it does."""
    for case in CASES:
        if case.early:
            assert Duration.parse(case.early) < Duration.parse(case.at)


def _series(series: Series, place: str) -> list[dict[str, str]]:
    """In a namespace of their own: one run of promtool looks at all cases, which takes a tenth of the time."""
    return [{"series": _placed(name, place), "values": values} for name, values in series.items()]


def _placed(text: str, place: str) -> str:
    return text.replace(SPACE, f'namespace="{place}"').replace('instance="', f'instance="{place} ')


def _never(case: AlertCase, until: str, place: str) -> dict[str, Any]:
    ever = f"max_over_time(ALERTS{_braces(_own(case) | {'namespace': place})}[3h])"
    return {"expr": ever, "eval_time": until, "exp_samples": []}


def _fires(case: AlertCase, place: str) -> dict[str, Any]:
    labels = _own(case) | dict(case.labels)
    sample = {"labels": _placed(f"ALERTS{_braces(labels)}", place), "value": 1}
    expression = f"ALERTS{_braces(_own(case) | {'namespace': place})}"
    return {"expr": expression, "eval_time": case.at, "exp_samples": [sample]}


def _own(case: AlertCase) -> dict[str, str]:
    return {"alertname": case.alert, "severity": case.severity, "alertstate": "firing"}


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
