"""The examples of docs/broadcasting.md run, and do what is said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec

from soundpost.core.app_settings import HistorySettings
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, running_server
from support.raw_socket import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_reference_of_broadcasting_is_a_program_that_works(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(examples("broadcasting.md")))
    keeping = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("private-orders.*",)),))
    with running_server(apps=[keeping]) as server, server.connect() as client:
        for channel in ("prices.EURUSD", "stock", "orders"):
            client.subscribe(channel)
        for channel in ("private-orders.7", "private-orders.8"):
            auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, channel_text(client.socket_id, channel, None))}"
            client.send_event("pusher:subscribe", {"channel": channel, "auth": auth})
            assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
        url = f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{server.port}/apps/{DEFAULT_APP.id}"
        done = subprocess.run(
            [sys.executable, str(program)],
            env={**os.environ, **PATIENCE, "SOUNDPOST_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        kept = [line.split(" ", 2) for line in done.stdout.splitlines()]
        assert [name for _, name, _ in kept] == ["OrderShipped", "OrderPaid", "OrderPaid", "OrderShipped"]
        server.publish("orders", "end")
        arrived = []
        while (event := client.read_event())["event"] != "end":
            arrived.append((event["channel"], event["event"], event["data"]))
    assert arrived == [
        ("private-orders.7", "OrderShipped", '{"order_id":7,"carrier":"DHL","eta":null}'),
        ("prices.EURUSD", "price.tick", '{"symbol":"EURUSD","bid":"1.0842"}'),
        ("stock", "StockChanged", '{"sku":"A-1","left":3}'),
        ("private-orders.7", "OrderPaid", '{"id":7}'),
        ("private-orders.7", "OrderPaid", '{"id":7}'),
        ("orders", "OrderPaid", '{"id":7}'),
        ("orders", "OrderChanged", '{"order":{"id":7,"status":"paid"}}'),
        ("private-orders.7", "OrderShipped", '{"order_id":7,"carrier":"UPS","eta":null}'),
        ("private-orders.8", "OrderShipped", '{"order_id":8,"carrier":"DHL","eta":null}'),
    ]
