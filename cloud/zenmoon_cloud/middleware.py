"""What every answer has in common: security headers, a size limit, one log line without personal data."""

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zenmoon_cloud.problems import Problem, answer

logger = logging.getLogger("zenmoon_cloud.requests")

SECURITY_HEADERS = {
    # Nothing inline, nothing from elsewhere. 'self' covers the WebSocket of the same address; 'wasm-unsafe-eval' lets the TinyLSTM
    # kernel, WebAssembly of this address, be compiled, and still no text be run as a script.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Adds the headers to every answer; answers of the interface are never cached."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store" if scope["path"].startswith("/api/") else "no-cache")
            await send(message)

        await self.app(scope, receive, with_headers)


class BodyLimit:
    """Refuses a request that says it is too large, and stops reading one that turns out to be."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await answer(self._too_large())(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise self._too_large()
            return message

        async def replacing(message: Message) -> None:
            # The framework turns an error while it reads into its own 400: the true answer takes that one's place.
            if received <= self.limit:
                await send(message)
            elif message["type"] == "http.response.start":
                await answer(self._too_large())(scope, receive, send)

        await self.app(scope, counted, replacing)

    def _too_large(self) -> Problem:
        detail = f"A request may have {self.limit} bytes. Send less at a time."
        return Problem(413, "too-large", "Request too large", detail)


class RequestLog:
    """Logs method, route template, status and duration: no address, no id, no query."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            took_ms = (time.perf_counter() - begin) * 1000
            level = logging.ERROR if status >= 500 else logging.INFO
            fields = {"method": scope["method"], "route": route, "status": status, "ms": round(took_ms, 1)}
            logger.log(level, "request", extra=fields)
