"""The page in Chromium: without a network, with hostile names, with a thousand queues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.draw.page import render_page
from letrade_topo.draw.wording import name_of
from letrade_topo.graph.building import graph_of
from letrade_topo.graph.graph import TopologyGraph
from letrade_topo.graph.reach import Reach
from letrade_topo.graph.wiring import declared_wiring
from tests.draw.browser import Tab, browse
from tests.draw.topologies import EVIL, crowded, evil
from tests.topologies import Document, expanded, loaded, shipped

pytestmark = pytest.mark.wide

SHOWN = "[...document.querySelectorAll('#canvas g text')].map((one) => one.textContent)"
LOAD = "performance.getEntriesByType('navigation')[0].duration"
QUEUES = 1_000


def graph(document: Document | None = None) -> TopologyGraph:
    """Of a document, or of the shipped topology."""
    topology = shipped() if document is None else loaded(document)
    return graph_of(topology, declared_wiring(expanded(topology), for_version("4.0.5")))


def page(folder: Path, found: TopologyGraph) -> str:
    """The URL of its page."""
    path = folder / "graph.html"
    path.write_text(render_page(found), encoding="utf-8")
    return path.as_uri()


def test_a_click_isolates_and_escape_shows_all_again(tmp_path: Path) -> None:
    """What a queue reaches and what reaches it, its ladder with it; nothing is asked of any network."""
    found = graph()
    url = page(tmp_path, found)
    queue = "queue:strategy.error"

    async def visit(tab: Tab) -> tuple[list[str], list[str], list[str], list[str]]:
        await tab.open(url)
        folded = await tab.evaluate(SHOWN)
        click = "new MouseEvent('click', {bubbles: true})"
        place = list(found.nodes).index(queue)
        await tab.evaluate(f"document.querySelector('g[data-node=\"{place}\"]').dispatchEvent({click})")
        around = await tab.evaluate(SHOWN)
        facts = await tab.evaluate("document.getElementById('panel').textContent")
        assert "x-dead-letter-exchange" in facts
        await tab.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
        assert await tab.evaluate(SHOWN) == folded
        return folded, around, tab.requests, tab.problems

    folded, around, requests, problems = browse(tmp_path, visit)

    assert not any(".rejected" in name or ".retry." in name for name in folded)
    assert set(around) == {name_of(node) for node in Reach(found).part(queue).nodes.values()}
    assert (requests, problems) == ([url], [])


def test_no_name_is_ever_markup(tmp_path: Path) -> None:
    """Names that would be scripts are texts, and the page's policy has nothing to forbid."""
    url = page(tmp_path, graph(evil()))

    async def visit(tab: Tab) -> dict[str, Any]:
        await tab.open(url)
        await tab.evaluate(
            "document.querySelector('g[data-node]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        return {
            "images": await tab.evaluate("document.querySelectorAll('img').length"),
            "scripts": await tab.evaluate("document.querySelectorAll('script').length"),
            "title": await tab.evaluate("document.title"),
            "panel": await tab.evaluate("document.getElementById('panel').textContent"),
            "requests": tab.requests,
            "problems": tab.problems,
        }

    seen = browse(tmp_path, visit)

    assert (seen["images"], seen["scripts"]) == (0, 2)
    assert EVIL in seen["panel"]
    assert (seen["requests"], seen["problems"]) == ([url], [])


def test_a_thousand_queues_open_and_answer_a_search(tmp_path: Path, record_property: Any) -> None:
    """All are drawn, one is found and isolated. How long it takes is noted: a busy machine is no failure."""
    url = page(tmp_path, graph(crowded(QUEUES)))

    async def visit(tab: Tab) -> tuple[int, float, list[str], float]:
        await tab.open(url)
        drawn = await tab.evaluate("document.querySelectorAll('g.queue').length")
        opened = await tab.evaluate(LOAD)
        searched = await tab.evaluate(
            "(() => { const began = performance.now(), search = document.getElementById('search');"
            " search.value = '.q777'; search.dispatchEvent(new Event('input'));"
            " search.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));"
            " return performance.now() - began; })()"
        )
        return drawn, opened, await tab.evaluate(SHOWN), searched

    drawn, opened, around, searched = browse(tmp_path, visit)

    assert drawn == QUEUES
    assert {"service18.q777", "events.kind777.happened", "service17", "service18"} <= set(around)
    assert len(around) < 20
    record_property("opened_milliseconds", opened)
    record_property("searched_milliseconds", searched)
    print(f"{QUEUES} queues open in {opened:.0f} ms, a search takes {searched:.0f} ms")
