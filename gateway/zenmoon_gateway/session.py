"""One connection's conversation with a wearable: what arrives is committed first and acknowledged then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from zenmoon_edge.client import Received, Wearable
from zenmoon_edge.core import record
from zenmoon_edge.core.clock import Clock
from zenmoon_edge.core.plaintext import Done, Entries, Gone

from zenmoon_gateway.anchors import Anchor, Reference, distance_ms, estimates
from zenmoon_gateway.outbox import Arrived, Group
from zenmoon_gateway.sync import BootRanges, Sync
from zenmoon_gateway.writer import Writer

log = logging.getLogger(__name__)

# The last live frame before a pause may be lost without a successor that shows the hole; the status shows it.
STATUS_EVERY_S = 10.0
# Frames for one commit: a full second of backlog at the fastest, so that many share an fsync.
GROUP_FRAMES = 500
# One acknowledgement for several commits: opening each costs the wearable milliseconds of its processor.
ACKNOWLEDGE_EVERY_S = 0.25
# How long the loop rests when nothing arrives; retries fall on this grid.
REST_S = 1.0


class Session:
    """What is said over one connection.

    Args:
        device: The wearable's 64-bit id.
        wearable: Connected and subscribed.
        stored: boot → what is durable or gone already.
        highest: boot → highest frame counter accepted already.
        writer: The outbox.
        clock: This gateway's clock.
        publish: Takes fields for `status`.
    """

    def __init__(
        self,
        *,
        device: int,
        wearable: Wearable,
        stored: Mapping[int, BootRanges],
        highest: Mapping[int, int],
        writer: Writer,
        clock: Clock,
        publish: Callable[..., None],
    ) -> None:
        self._device = device
        self._wearable = wearable
        self._writer = writer
        self._clock = clock
        self._publish = publish
        self._sync = Sync(stored)
        self._highest = dict(highest)
        self._reference: Reference | None = None
        self._counted: dict[str, int] = {}
        self._status_due = 0.0
        self._acknowledge_due = 0.0
        self._estimates_due = True

    async def begin(self) -> None:
        """Reads the status and tells the wearable the time.

        Raises:
            WearableError: Above all `wrong_key`: this is another wearable.
        """
        await self._read_status()
        await self._wearable.set_time(self._clock.utc_ms())

    @property
    def caught_up(self) -> bool:
        """Whether nothing that the wearable is known to hold is missing here."""
        return self._sync.missing() == 0

    async def turn(self) -> None:
        """Asks and acknowledges what is due, then takes in what arrives and makes it durable.

        Raises:
            WearableError: The link ended.
            GatewayError: `storage`; the session cannot go on, for what it took in was not kept.
        """
        await self._speak()
        frames = await self._wearable.gather(
            limit=GROUP_FRAMES, seconds=REST_S if not self._sync.next_acknowledgements() else ACKNOWLEDGE_EVERY_S
        )
        group = self._take_in(frames)
        if group:
            ruled = await self._writer.call(self._writer.outbox.commit, self._device, group, now_ms=time.time_ns() // 1_000_000)
            self._sync.committed()
            self._highest.update(group.highest)
            if ruled:
                self._estimates_due = True
            if group.entries or ruled:
                self._writer.arrived.set()
            self._publish(last_frame=round(time.time(), 3), missing=self._sync.missing())
        if self._estimates_due and self.caught_up:
            self._estimates_due = False
            await self._estimate()

    async def _speak(self) -> None:
        now = time.monotonic()
        if now >= self._status_due:
            await self._read_status()
        if resend := self._sync.next_resend(now):
            log.debug("asking for %d…%d of boot %08x", resend.first, resend.last, resend.boot)
            await self._wearable.resend(resend.boot, resend.first, resend.last)
        if now >= self._acknowledge_due and (due := self._sync.next_acknowledgements()):
            for boot, seq in due:
                await self._wearable.acknowledge(boot, seq)
                self._sync.acknowledged(boot, seq)
            self._acknowledge_due = now + ACKNOWLEDGE_EVERY_S
            self._publish(last_acknowledgement=round(time.time(), 3))

    async def _read_status(self) -> None:
        status = await self._wearable.status()
        utc_ms, now = self._clock.utc_ms(), time.monotonic()
        self._status_due = now + STATUS_EVERY_S
        self._sync.status([(holding.boot, holding.first, holding.next) for holding in status.holdings], now)
        boots = [holding.boot for holding in status.holdings]
        self._reference = Reference(boot=boots[-1], tick_ms=status.tick_ms, utc_ms=utc_ms, rate=self._clock.rate)
        await self._writer.call(self._writer.outbox.order, self._device, boots)
        battery = status.battery_pct if status.battery_pct <= 100 else None
        self._publish(battery_pct=battery, wearable_overwritten=status.overwritten, missing=self._sync.missing())

    def _take_in(self, frames: list[Received]) -> Group:
        now = time.monotonic()
        group = Group()
        highest: dict[int, int] = {}
        for received in frames:
            highest[received.boot] = max(received.counter, highest.get(received.boot, self._highest.get(received.boot, -1)))
            match received.content:
                case Entries() as content:
                    self._take_entries(received.boot if content.boot is None else content.boot, content, group, now)
                case Gone(boot=boot, first=first, last=last, reason=reason):
                    self._sync.gone(boot, first, last, reason, now)
                case Done(boot=boot, first=first, last=last):
                    self._sync.done(boot, first, last, now)
                    self._estimates_due = True
        group.highest = highest
        group.ranges = self._sync.changes()
        tallies = self._news(
            {
                "redelivered": self._sync.redelivered,
                **{f"frames_{reason}": number for reason, number in self._wearable.refused.items()},
            }
        )
        group.tallies = {**tallies, **group.tallies}
        return group

    def _take_entries(self, boot: int, content: Any, group: Group, now: float) -> None:
        new = set(self._sync.receive(boot, [entry.seq for entry in content.entries], now))
        for entry in content.entries:
            if entry.seq not in new:
                continue
            new.discard(entry.seq)
            group.entries.append(Arrived(boot=boot, firmware=content.firmware, model=content.model, entry=entry))
            if entry.kind == record.ANCHOR:
                self._take_anchor(boot, entry.tick_ms, entry.body, group)

    def _take_anchor(self, boot: int, tick_ms: int, body: bytes, group: Group) -> None:
        value = record.unpack_body(record.ANCHOR, body)
        if self._reference is None or not isinstance(value, record.Anchor):
            return
        anchor = Anchor(tick_ms=tick_ms, utc_ms=value.utc_ms, source=value.source, uncertainty_ms=value.uncertainty_ms)
        off_ms = distance_ms(anchor, boot, self._reference)
        if off_ms == 0:
            group.anchors.append((boot, anchor))
            return
        log.warning(
            "an anchor of boot %08x is %.0f s off this gateway's clock and is not used. "
            "Next: check the clocks of the phones that use this wearable",
            boot,
            off_ms / 1000,
        )
        group.tallies = {"anchors_unused": group.tallies.get("anchors_unused", 0) + 1}

    def _news(self, counts: dict[str, int]) -> dict[str, int]:
        news = {name: number - self._counted.get(name, 0) for name, number in counts.items() if number > self._counted.get(name, 0)}
        self._counted.update(counts)
        for name, number in news.items():
            if name.startswith("frames_"):
                log.warning("%d frames refused: %s", number, name.removeprefix("frames_"))
        return news

    async def _estimate(self) -> None:
        """Boots that ended without an anchor get one from the start of the boot that followed."""
        boots = [
            replace(boot, finished=self._sync.finished(boot.boot))
            for boot in await self._writer.call(self._writer.outbox.boots, self._device)
        ]
        found = estimates(boots)
        if not found:
            return
        for boot, anchor in found.items():
            log.info("boot %08x ended without an anchor: its time is estimated to ± %.0f min", boot, anchor.uncertainty_ms / 60_000)
        group = Group(anchors=list(found.items()), tallies={"anchors_estimated": len(found)})
        await self._writer.call(self._writer.outbox.commit, self._device, group, now_ms=time.time_ns() // 1_000_000)
        self._writer.arrived.set()
