"""The doors: every route gets its guardian or gateway from here, with all checks made."""

import hmac
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import Depends, Request, WebSocket, WebSocketException
from starlette.requests import HTTPConnection

from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import store
from zenmoon_cloud.identity.origin import trusted
from zenmoon_cloud.identity.people import Gateway, Guardian
from zenmoon_cloud.identity.tokens import csrf_token, digest
from zenmoon_cloud.problems import Problem, Unauthorised

COOKIE = "zenmoon_session"
CSRF_HEADER = "X-CSRF-Token"
READS = {"GET", "HEAD", "OPTIONS"}
# A WebSocket's private close codes start at 4000; this one mirrors HTTP 401, the next HTTP 403.
CLOSED_UNAUTHORISED = 4401
CLOSED_FORBIDDEN = 4403


class Session(NamedTuple):
    """A browser's sign-in: the cookie and whom it stands for."""

    token: str
    guardian: Guardian
    expires_at: datetime


async def current_session(request: Request) -> Session:
    """Return the signed-in session of a request; a write must also come from a trusted page and repeat the CSRF token.

    Raises:
        Unauthorised: ``not-signed-in``, ``session-ended`` or ``session-expired``.
        Problem: 403 ``foreign-origin`` or ``csrf``.
    """
    session = await _session(request)
    if request.method not in READS:
        refuse_foreign_origin(request)
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), csrf_token(session.token).encode()):
            raise Problem(
                403, "csrf", "Write not confirmed",
                f"The header {CSRF_HEADER} is missing or wrong. Send `csrf_token` from /api/auth/session in it.",
            )  # fmt: skip
    return session


async def current_guardian(session: Annotated[Session, Depends(current_session)]) -> Guardian:
    """Return the signed-in guardian; raises what `current_session` raises."""
    return session.guardian


async def websocket_guardian(websocket: WebSocket) -> Guardian:
    """Return the guardian behind a WebSocket, by cookie and Origin; to be called before it is accepted.

    Raises:
        WebSocketException: 4401 or 4403, with the problem's type as its reason.
    """
    if not _from_trusted_page(websocket):
        raise WebSocketException(CLOSED_FORBIDDEN, "foreign-origin")
    try:
        return (await _session(websocket)).guardian
    except Unauthorised as error:
        raise WebSocketException(CLOSED_UNAUTHORISED, error.reason) from None


async def gateway_from_token(database: Database, token: str) -> Gateway:
    """Return the gateway that a token belongs to. Nothing is cached: a revoked token is refused at once.

    Raises:
        Unauthorised: ``token-unknown`` or ``token-revoked``.
    """
    async with database.api.connection() as connection:
        row = await (await connection.execute(store.FIND_GATEWAY, {"token_hash": digest(token)})).fetchone()
        if row is None:
            detail = "No gateway has this token. Enrol the gateway again and use the token that the answer shows once."
            raise Unauthorised("token-unknown", "Unknown token", detail, scheme="Bearer")
        if row["revoked"]:
            detail = "A guardian revoked this gateway. Enrol it again if it is still yours; what it holds stays in its outbox."
            raise Unauthorised("token-revoked", "Revoked token", detail, scheme="Bearer")
        if row["unseen"]:
            await connection.execute(store.SEE_GATEWAY, {"gateway_id": row["id"]})
    return Gateway(row["id"], row["family_id"])


async def current_gateway(request: Request) -> Gateway:
    """Return the gateway of a request with ``Authorization: Bearer``; raises what `gateway_from_token` raises."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        detail = "Send the gateway's token as `Authorization: Bearer …`."
        raise Unauthorised("token-missing", "No token", detail, scheme="Bearer")
    return await gateway_from_token(request.app.state.database, token.strip())


def refuse_foreign_origin(request: Request) -> None:
    """Refuse a write that a page of another site started.

    Raises:
        Problem: 403 ``foreign-origin``.
    """
    if not _from_trusted_page(request):
        raise Problem(
            403, "foreign-origin", "Foreign page",
            "The Origin header is missing or names another site. Use the service's own address, "
            "or have the operator add the origin to ZENMOON_ALLOWED_ORIGINS.",
        )  # fmt: skip


def _from_trusted_page(connection: HTTPConnection) -> bool:
    allowed = connection.app.state.settings.allowed_origins
    return trusted(connection.headers.get("origin"), connection.headers.get("host"), allowed)


async def _session(connection: HTTPConnection) -> Session:
    token = connection.cookies.get(COOKIE)
    if not token:
        raise Unauthorised("not-signed-in", "Not signed in", "Sign in at /api/auth/login.")
    database: Database = connection.app.state.database
    async with database.api.connection() as api:
        row = await (await api.execute(store.FIND_SESSION, {"token_hash": digest(token)})).fetchone()
    if row is None:
        raise Unauthorised("not-signed-in", "Not signed in", "This session is unknown. Sign in at /api/auth/login.")
    if row["ended"]:
        raise Unauthorised("session-ended", "Signed out", "This session was signed out or renewed. Sign in again.")
    if row["expired"]:
        raise Unauthorised("session-expired", "Session expired", "Sign in again; nothing was changed.")
    guardian = Guardian(row["id"], tuple(row["family_ids"]), row["email"], row["display_name"], row["operator"])
    return Session(token, guardian, row["expires_at"])


CurrentSession = Annotated[Session, Depends(current_session)]
CurrentGuardian = Annotated[Guardian, Depends(current_guardian)]
CurrentGateway = Annotated[Gateway, Depends(current_gateway)]
