"""`status` for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(content: dict[str, Any]) -> None:
    """Prints what `status.collect` returned."""
    console = Console()
    links = Table("wearable", "link", "detail", "battery", "missing here", title="running" if content["running"] else "not running")
    for name, link in content["links"].items():
        battery = link.get("battery_pct")
        links.add_row(
            name, link["state"], link.get("detail", ""), "–" if battery is None else f"{battery} %", str(link.get("missing", "–"))
        )
    console.print(links)
    outbox = content["outbox"]
    age = outbox["oldest_age_s"]
    console.print(f"cloud: {content['uplink']['state']} {content['uplink'].get('detail', '')}", highlight=False)
    console.print(
        f"outbox: {outbox['depth']} entries, the oldest {'–' if age is None else f'{age:.0f} s'} old, "
        f"{outbox['waiting_for_time']} wait for an anchor",
        highlight=False,
    )
    counts = ("delivered", "redelivered", "refused", "conflicts", "dead_letters", "overwritten")
    console.print(" · ".join(f"{name.replace('_', ' ')} {content[name]}" for name in counts), highlight=False)
    for text in [*content["notices"], *([outbox["error"]] if outbox["error"] else [])]:
        console.print(text, style="bold red", highlight=False)
