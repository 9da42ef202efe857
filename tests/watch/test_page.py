"""The controller's page in Chromium: drift on the graph, and who repaired what, when."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.controllers import running_controller
from tests.draw.browser import Tab, browse
from tests.tool import Tool
from tests.topologies import orders, write


@pytest.mark.one_version
def test_the_page_shows_drift_and_repairs(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> None:
    """A queue deleted by hand is back, and it says by whom; a queue made by hand stays, and is marked."""
    file = write(tmp_path / "topology.yaml", orders(vhost=vhost_name))
    Tool.at(broker, tmp_path).run("apply", "--yes").check(0)
    assert broker.api("PUT", f"/api/queues/{vhost_name}/by.hand", json={"durable": True}).ok

    with running_controller(broker, file, mode="repair") as controller:
        controller.until(lambda: controller.log("drift"), "it sees the queue")
        assert broker.api("DELETE", f"/api/queues/{vhost_name}/clerk.orders").ok
        controller.until(lambda: controller.log("repaired"), "it repairs")
        made = controller.log("repaired")[-1]["objects"]
        assert "create queue:clerk.orders" in made
        controller.until(lambda: "repaired: " in controller.page("/").text, "the page tells")
        url = f"http://127.0.0.1:{controller.port}/"

        async def visit(tab: Tab) -> dict[str, Any]:
            await tab.open(url)
            return {
                "panel": await tab.evaluate("document.getElementById('panel').innerText"),
                "marked": await tab.evaluate(
                    "[...document.querySelectorAll('g.extra text')].map((one) => one.textContent)"
                ),
                "requests": tab.requests,
                "problems": tab.problems,
            }

        seen = browse(tmp_path, visit, is_offline=False)
        policy = controller.page("/").headers["Content-Security-Policy"]

    assert f"{socket.gethostname()}: repaired" in seen["panel"]
    assert "create queue:clerk.orders" in seen["panel"]
    assert "queue:by.hand: in the vhost, but not declared" in seen["panel"]
    assert [text.split(" · ")[0] for text in seen["marked"]] == ["by.hand"]
    assert [one for one in seen["requests"] if not one.endswith("/favicon.ico")] == [url]
    assert [one for one in seen["problems"] if "favicon" not in one] == []
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
