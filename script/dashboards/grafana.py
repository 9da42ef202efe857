"""Grafana's JSON of a dashboard's rows: places, colours, variables. Knows nothing of what is asked."""

from __future__ import annotations

import json
from typing import Any

from script.dashboards.panels import Panel, Rows

_WIDTH = 24
_SCHEMA_VERSION = 38
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(uid: str, title: str, rows: Rows, told_by: str) -> str:
    """A dashboard's JSON.

    Args:
        uid: links to it last as long as this stays.
        title: as people see it.
        rows: of panels, from top to bottom.
        told_by: the metric whose labels one may choose by: the namespace, and of agents which one.
    """
    panels: list[dict[str, Any]] = []
    y = 0
    for heading, found in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": heading,
                "collapsed": False,
                "panels": [],
                "gridPos": _place(0, y, _WIDTH, 1),
            }
        )
        y += 1
        x = tallest = 0
        for panel in found:
            if x + panel.width > _WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(len(panels) + 1, panel, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    variables = [_datasource(), _variable("namespace", "Namespace", told_by)]
    if told_by == "letrade_agent_build_info":
        variables.append(_variable("instance", "Agent", told_by + '{namespace=~"$namespace"}'))
    document = {
        "uid": uid,
        "title": title,
        "tags": ["letrade", "rabbitmq"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "dashboards", "title": "Letrade", "tags": ["letrade"], "asDropdown": True, "includeVars": True}
        ],
        "templating": {"list": variables},
        "annotations": {"list": [_alerts()]},
        "panels": panels,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.thresholds:
        steps = [
            {"color": colour, "value": value if place else None}
            for place, (value, colour) in enumerate(panel.thresholds)
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.mappings:
        options = {value: {"text": text, "color": colour} for value, (text, colour) in panel.mappings.items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    options: dict[str, Any] = {}
    match panel.kind:
        case "timeseries":
            defaults["custom"] = {
                "fillOpacity": 20 if panel.stacked else 5,
                "showPoints": "never",
                "stacking": {"mode": "normal" if panel.stacked else "none"},
            }
            options = {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        case _:
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal", "displayMode": "basic"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _DATASOURCE,
        "gridPos": _place(x, y, panel.width, panel.height),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(name: str, label: str, metric: str) -> dict[str, Any]:
    """Of which one may choose several; all means also series without the label, as outside of Kubernetes."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": _DATASOURCE,
        "expr": 'ALERTS{alertname=~"Letrade.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }
