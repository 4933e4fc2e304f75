"""Registration, sign-in, renewal and sign-out of browsers."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import store
from zenmoon_cloud.identity.access import COOKIE, CurrentSession, Session, current_session, refuse_foreign_origin
from zenmoon_cloud.identity.fields import Email, Name, Password, TypedEmail
from zenmoon_cloud.identity.passwords import hash_password, verify_password
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.identity.registration import add_guardian
from zenmoon_cloud.identity.tokens import csrf_token, digest, new_token
from zenmoon_cloud.problems import Problem, Unauthorised
from zenmoon_cloud.settings import Settings

router = APIRouter(prefix="/api/auth", tags=["sign-in"])


class Registration(BaseModel):
    """A new family with its first guardian."""

    email: Email
    password: Password
    display_name: Name
    family_name: Name | None = None


class Login(BaseModel):
    """What a guardian types."""

    email: TypedEmail
    password: str = Field(max_length=200)


class GuardianView(BaseModel):
    """The signed-in guardian."""

    id: UUID
    email: str
    display_name: str
    operator: bool
    family_ids: list[UUID]


class SessionView(BaseModel):
    """A sign-in, as the page needs it; the session itself is an HttpOnly cookie."""

    guardian: GuardianView
    csrf_token: str = Field(description="To be sent as X-CSRF-Token with every write")
    expires_at: datetime


@router.post("/register", status_code=201)
async def register(body: Registration, request: Request, response: Response) -> SessionView:
    """Create a family and its guardian, and sign in."""
    refuse_foreign_origin(request)
    database: Database = request.app.state.database
    family_id = uuid4()
    password_hash = await hash_password(body.password)
    async with database.family([family_id]) as connection:
        guardian_id = await add_guardian(
            connection, body.email, body.display_name, password_hash, family_id=family_id, family_name=body.family_name
        )
        if guardian_id is None:
            raise Problem(409, "email-taken", "Address in use", "A guardian with this e-mail address exists. Sign in instead.")
        token, expires_at = await _open_session(connection, guardian_id, request.app.state.settings)
    guardian = Guardian(guardian_id, (family_id,), body.email, body.display_name, operator=False)
    return _answer(request, response, Session(token, guardian, expires_at))


@router.post("/login")
async def login(body: Login, request: Request, response: Response) -> SessionView:
    """Sign in; the answer sets the session cookie."""
    refuse_foreign_origin(request)
    database: Database = request.app.state.database
    async with database.api.connection() as connection:
        row = await (await connection.execute(store.FIND_GUARDIAN, {"email": body.email.strip()})).fetchone()
    # No connection is held while the hash is computed.
    fits, newer = await verify_password(body.password, row["password_hash"] if row else None)
    if row is None or not fits:
        detail = "The e-mail address or the password is wrong. Check both and try again."
        raise Unauthorised("wrong-credentials", "Sign-in refused", detail)
    async with database.api.connection() as connection:
        await connection.execute(store.FORGET_SESSIONS, {"guardian_id": row["id"]})
        if newer:
            await connection.execute(store.REPLACE_HASH, {"guardian_id": row["id"], "password_hash": newer})
        token, expires_at = await _open_session(connection, row["id"], request.app.state.settings)
        found = await (await connection.execute(store.FIND_SESSION, {"token_hash": digest(token)})).fetchone()
    assert found is not None
    guardian = Guardian(found["id"], tuple(found["family_ids"]), found["email"], found["display_name"], operator=found["operator"])
    return _answer(request, response, Session(token, guardian, expires_at))


@router.get("/session")
async def session(session: CurrentSession) -> SessionView:
    """Return the present sign-in, for a page that was just loaded."""
    return _view(session)


@router.post("/refresh")
async def refresh(request: Request, response: Response, session: CurrentSession) -> SessionView:
    """Renew the session: a new cookie and CSRF token, the old ones end at once."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    token = new_token()
    async with database.api.connection() as connection:
        cursor = await connection.execute(
            store.ROTATE_SESSION,
            {
                "token_hash": digest(session.token),
                "new_hash": digest(token),
                "lifetime": settings.session_lifetime,
                "limit": settings.session_limit,
            },
        )
        row = await cursor.fetchone()
    if row is None:
        raise Unauthorised("session-ended", "Already renewed", "Another tab renewed this session first; load the page again.")
    return _answer(request, response, Session(token, session.guardian, row["expires_at"]))


@router.post("/logout", status_code=204)
async def logout(request: Request, response: Response) -> None:
    """End the session; a session that is over already is no error."""
    try:
        session = await current_session(request)
    except Unauthorised:
        refuse_foreign_origin(request)
    else:
        database: Database = request.app.state.database
        async with database.api.connection() as connection:
            await connection.execute(store.END_SESSION, {"token_hash": digest(session.token)})
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


async def _open_session(connection: Connection, guardian_id: UUID, settings: Settings) -> tuple[str, datetime]:
    token = new_token()
    lifetimes: dict[str, timedelta] = {"lifetime": settings.session_lifetime, "limit": settings.session_limit}
    cursor = await connection.execute(store.ADD_SESSION, {"token_hash": digest(token), "guardian_id": guardian_id, **lifetimes})
    row = await cursor.fetchone()
    assert row is not None
    return token, row["expires_at"]


def _view(session: Session) -> SessionView:
    guardian = session.guardian
    view = GuardianView(
        id=guardian.id, email=guardian.email, display_name=guardian.display_name,
        operator=guardian.operator, family_ids=list(guardian.family_ids),
    )  # fmt: skip
    return SessionView(guardian=view, csrf_token=csrf_token(session.token), expires_at=session.expires_at)


def _answer(request: Request, response: Response, session: Session) -> SessionView:
    settings: Settings = request.app.state.settings
    secure = settings.cookie_secure or request.url.scheme == "https"
    response.set_cookie(
        COOKIE, session.token, expires=session.expires_at, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return _view(session)
