"""From the outbox to the cloud over HTTP: one batch in flight, nothing deleted but by the cloud's own answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import httpx
from zenmoon_edge.core.clock import Clock
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.messages import Ack, Batch, Refusal, item, new_batch_id

from zenmoon_gateway.answers import Accepted, Broken, Refused, TokenRefused, Unavailable, read
from zenmoon_gateway.backoff import Backoff
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.outbox import DeadLetter, Waiting
from zenmoon_gateway.settings import LOOPBACK, Credentials
from zenmoon_gateway.state import State
from zenmoon_gateway.writer import Writer

log = logging.getLogger(__name__)

BATCH_ITEMS = 500
# Long enough to gather the entries of one commit into one request, short against the second that a value takes to a parent's eye.
LINGER_S = 0.02
# A commit of 500 items takes the cloud well under a second; a mobile connection may stall for many.
TIMEOUT = httpx.Timeout(20.0, connect=10.0)
RETRY_FIRST_S = 0.25
RETRY_LONGEST_S = 30.0
# A refused token or a wrong address needs a person; asking twice a minute is enough to notice that one came.
PERSON_S = 30.0
# So many single items refused with the whole envelope, and none taken in between: it is the envelope, not the items.
SUSPECTS = 16


class UplinkState(Enum):
    """What the way to the cloud is doing."""

    IDLE = "idle"
    SENDING = "sending"
    CLOUD_UNREACHABLE = "cloud_unreachable"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a state, no secret
    ENVELOPE_REFUSED = "envelope_refused"


@dataclass(frozen=True, kw_only=True)
class _Parcel:
    """A batch until it is answered; a repetition carries the same id and the same items."""

    batch_id: str
    waiting: list[Waiting]
    items: list[dict[str, Any]]

    def halves(self) -> tuple[_Parcel, _Parcel]:
        """Two smaller batches of the same items."""
        middle = len(self.waiting) // 2
        return self._part(slice(middle)), self._part(slice(middle, None))

    def _part(self, part: slice) -> _Parcel:
        return _Parcel(batch_id=new_batch_id(), waiting=self.waiting[part], items=self.items[part])


def build(waiting: Waiting) -> dict[str, Any]:
    """The JSON item of an outbox entry."""
    arrived = waiting.arrived
    built: dict[str, Any] = item(arrived.entry, waiting.device, arrived.boot, arrived.firmware, arrived.model, waiting.ts_ms)
    return built


class Uplink:
    """Delivers what the outbox holds, for ever.

    Args:
        writer: The outbox.
        client: HTTP connections.
        cloud: Base URL.
        credentials: The gateway's id and token.
        clock: Gives `sent_at`.
        state: Where `status` looks.
    """

    def __init__(
        self, *, writer: Writer, client: httpx.AsyncClient, cloud: str, credentials: Credentials, clock: Clock, state: State
    ) -> None:
        self._writer = writer
        self._client = client
        self._clock = clock
        self._published = state
        self._url = f"{cloud}/api/ingest/batches"
        self._gateway_id = credentials.gateway_id
        self._headers = {"Authorization": f"Bearer {credentials.token}", "Content-Type": "application/json"}
        self._backoff = Backoff(first_s=RETRY_FIRST_S, longest_s=RETRY_LONGEST_S)
        self._parcels: deque[_Parcel] = deque()
        self._suspects: dict[int, DeadLetter] = {}
        self.state: UplinkState | None = None

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            try:
                pause = await self._send(self._parcels[0]) if self._parcels or await self._fill() else 0.0
            except GatewayError as error:
                if error.reason is Reason.DAMAGED:
                    raise
                log.error("%s", error)
                pause = self._backoff.next_s()
            if pause:
                await asyncio.sleep(pause)

    async def _fill(self) -> bool:
        """Takes the next items; waits for some when there are none."""
        self._writer.arrived.clear()
        waiting = await self._ready()
        if not waiting:
            if self.state in (None, UplinkState.SENDING):
                self._enter(UplinkState.IDLE, "nothing waits")
            await self._writer.arrived.wait()
            await asyncio.sleep(LINGER_S)
            waiting = await self._ready()
        if waiting:
            await self._pack(waiting)
        return bool(self._parcels)

    async def _pack(self, waiting: list[Waiting]) -> None:
        whole, items, impossible = [], [], []
        for one in waiting:
            try:
                items.append(build(one))
                whole.append(one)
            except (ValueError, OverflowError, EdgeError) as error:
                # A time that no calendar has, a body of the wrong length: it will never become an item.
                impossible.append(DeadLetter(waiting=one, code="bad_value", detail=f"cannot be expressed: {error}", item=None))
        if impossible:
            await self._bury(impossible)
        if whole:
            self._parcels.append(_Parcel(batch_id=new_batch_id(), waiting=whole, items=items))

    async def _bury(self, letters: list[DeadLetter]) -> None:
        await self._writer.call(self._writer.outbox.settle, [], letters, tallies={"unsendable": len(letters)}, now_ms=_now_ms())
        _report(letters)

    async def _ready(self) -> list[Waiting]:
        return await self._writer.call(self._writer.outbox.ready, BATCH_ITEMS, besides=frozenset(self._suspects))

    async def _send(self, parcel: _Parcel) -> float:
        """Sends one parcel and applies the answer; returns the pause before the next attempt, in seconds."""
        answer = await self._post(parcel)
        match answer:
            case Accepted(ack=ack):
                await self._settle(parcel, ack)
                self._parcels.popleft()
                self._backoff.reset()
                self._enter(UplinkState.SENDING, "the cloud takes what is sent")
                return 0.0
            case Refused(detail=detail):
                return self._halve(parcel, detail)
            case TokenRefused(detail=detail):
                self._enter(UplinkState.TOKEN_REFUSED, f"{detail}; everything is kept. Next: enroll this gateway again")
                return PERSON_S
            case Broken(detail=detail):
                self._enter(UplinkState.ENVELOPE_REFUSED, f"{detail}; everything is kept. Next: check --cloud")
                return PERSON_S
            case Unavailable(detail=detail, after_s=after_s):
                self._enter(UplinkState.CLOUD_UNREACHABLE, f"{detail}; everything is kept and tried again")
                return max(after_s, self._backoff.next_s())

    async def _post(self, parcel: _Parcel) -> Accepted | Refused | TokenRefused | Broken | Unavailable:
        batch = Batch(batch_id=parcel.batch_id, gateway_id=self._gateway_id, sent_at=_iso(self._clock.utc_ms()), items=parcel.items)
        try:
            response = await self._client.post(self._url, content=batch.to_json(), headers=self._headers, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            return Unavailable(detail=f"the cloud does not answer ({type(error).__name__}: {error})", after_s=0.0)
        return read(response.status_code, response.headers, response.content, batch_id=parcel.batch_id, items=len(parcel.waiting))

    async def _settle(self, parcel: _Parcel, ack: Ack) -> None:
        refused = {refusal.index: refusal for refusal in ack.refused}
        letters = [_letter(parcel.waiting[index], parcel.items[index], refusal) for index, refusal in refused.items()]
        letters += self._suspects.values()
        tallies = {
            "delivered": ack.accepted,
            "duplicates": ack.duplicates,
            "refused": len(letters),
            "conflicts": sum(letter.code == "conflict" for letter in letters),
        }
        delivered = [waiting for index, waiting in enumerate(parcel.waiting) if index not in refused]
        await self._writer.call(self._writer.outbox.settle, delivered, letters, tallies=tallies, now_ms=_now_ms())
        _report(letters)
        self._suspects.clear()
        self._published.uplink(last_acknowledgement=_now_ms() / 1000)

    def _halve(self, parcel: _Parcel, detail: str) -> float:
        """The cloud refused an envelope: finds the item to blame by halves, or sees that all are refused."""
        self._parcels.popleft()
        if len(parcel.waiting) > 1:
            self._parcels.extendleft(reversed(parcel.halves()))
            return 0.0
        only = parcel.waiting[0]
        # It becomes a dead letter once the cloud has taken another one: else a fault of the envelope would empty the outbox.
        self._suspects[only.id] = DeadLetter(waiting=only, code="bad_envelope", detail=detail, item=parcel.items[0])
        if len(self._suspects) < SUSPECTS:
            return 0.0
        self._suspects.clear()
        self._parcels.clear()
        self._enter(
            UplinkState.ENVELOPE_REFUSED,
            f"the cloud refuses whatever is sent ({detail}); everything is kept. Next: update the gateway or the cloud",
        )
        return PERSON_S

    def _enter(self, state: UplinkState, why: str) -> None:
        if state is self.state:
            return
        quiet = {UplinkState.IDLE, UplinkState.SENDING}
        if not (state in quiet and self.state in quiet):
            log.log(logging.INFO if state in quiet else logging.WARNING, "cloud: %s: %s", state.value, why)
        self.state = state
        self._published.uplink(state=state.value, detail=why)
        self._published.flush()


def http_client() -> httpx.AsyncClient:
    """The connection to the cloud: kept open between batches, never following a redirect with a token."""
    # A proxy named by the environment would see in the clear what goes to this machine itself by plain HTTP.
    direct = {f"all://[{host}]" if ":" in host else f"all://{host}": None for host in LOOPBACK}
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=1), follow_redirects=False, mounts=direct)


def _letter(waiting: Waiting, sent: dict[str, Any], refusal: Refusal) -> DeadLetter:
    if refusal.code == "consent":
        # No consent: nothing but the key and the code may stay behind.
        return DeadLetter(waiting=waiting, code=refusal.code, detail="", item=None)
    return DeadLetter(waiting=waiting, code=refusal.code, detail=refusal.detail, item=sent)


def _report(letters: list[DeadLetter]) -> None:
    by_code = Counter(letter.code for letter in letters)
    for code, number in by_code.items():
        first = next(letter for letter in letters if letter.code == code)
        arrived = first.waiting.arrived
        log.warning(
            "cloud: %d refused (%s), set aside as dead letters; the first: boot %08x seq %d %s",
            number,
            code,
            arrived.boot,
            arrived.entry.seq,
            first.detail,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _iso(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
