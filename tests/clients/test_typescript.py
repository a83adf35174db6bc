"""``soundpost types``: what it writes is understood by TypeScript and the hooks of @laravel/echo-react and -vue."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from soundpost.broadcasting.catalogue import events_in
from soundpost.tools.typescript import declarations

NODE_MODULES = Path(__file__).parent / "node_modules"
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
COMPONENT = """
import { useEcho, useEchoNotification } from '@laravel/echo-%(framework)s';
import type { InvoicePaid, Status } from './events';

useEcho('orders.7', 'OrderShipped', (order) => {
    const id: number = order.order_id;
    const carrier: string | null = order.carrier;
    const status: Status = order.status;
    const street: string | undefined = order.address.billing?.street;
    const first: number = order.lines[0].price;
    const kind: 'gift' | 'plain' = order.kind;
    const took: number = order.took;
    const shop: number = order.shop;
    // @ts-expect-error there is no such field
    order.nonsense;
    // @ts-expect-error it is a number
    const text: string = order.order_id;
    // @ts-expect-error it may be null
    order.carrier.length;
});
useEcho('prices.x', '.price.tick', (tick) => {
    const bid: string = tick.bid;
    const at: string = tick.at;
    // @ts-expect-error decimals come as text
    const wrong: number = tick.bid;
});
useEcho('orders.7', 'Paid', (totals) => {
    const net: string = totals.net;
    const note: string | undefined = totals.note;
});
useEcho('stock', 'Stock', (stock) => {
    const time: string = stock.lead_time;
});
useEcho('plain', 'Plain', ({ tags }) => tags.map((tag) => tag.length));
useEchoNotification<InvoicePaid>('App.Models.User.7', (notification) => {
    const total: string = notification.total;
    const id: string = notification.id;
    // @ts-expect-error of this kind there is one
    notification.type === 'InvoiceLost';
});
"""


PAGE = (Path(__file__).parents[2] / "docs/typescript.md").read_text()


def compiled(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NODE_MODULES / ".bin" / "tsc"), *OPTIONS, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_the_code_of_the_page_compiles(tmp_path: Path, framework: str) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (events,) = re.findall(r"```ts\n(export interface.*?)```", PAGE, re.DOTALL)
    (echo,) = re.findall(r"```ts\n(// echo\.ts.*?)```", PAGE, re.DOTALL)
    hooks = "\n".join(re.findall(r"```tsx\n(.*?)```", PAGE, re.DOTALL))
    package = f"@laravel/echo-{framework}"
    (tmp_path / "events.d.ts").write_text(f"{events}\nexport {{}};\n")
    (tmp_path / "echo.ts").write_text(echo.replace("@laravel/echo-react", package))
    (tmp_path / "component.ts").write_text(
        f"import {{ useEcho, useEchoPublic }} from '{package}';\n"
        "declare function setEta(eta: string): void;\ndeclare function setBid(bid: string): void;\n"
        f"const id = 7;\n{hooks}"
    )
    done = compiled(tmp_path, "events.d.ts", "echo.ts", "component.ts")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    without_type = hooks.replace("<Events['.price.tick']>", "")
    (tmp_path / "component.ts").write_text((tmp_path / "component.ts").read_text().replace(hooks, without_type))
    assert "'tick' is of type 'unknown'" in compiled(tmp_path, "events.d.ts", "component.ts").stdout


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_hooks_know_the_payloads(tmp_path: Path, framework: str) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "events.d.ts").write_text(declarations(events_in(["support.shop_events"])))
    (tmp_path / "component.ts").write_text(COMPONENT % {"framework": framework})
    done = compiled(tmp_path, "events.d.ts", "component.ts")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
