"""Errors as RFC 9457 problem documents: a stable `type`, a title, and a detail that says cause and next action."""

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from zenmoon_cloud.errors import CloudError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(CloudError):  # noqa: N818  (the word of RFC 9457)
    """An answer other than success; raise it anywhere below a route.

    Attributes:
        status: HTTP status.
        document: The problem document.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, type_: str, title: str, detail: str, *, headers: dict[str, str] | None = None, **extra: object
    ) -> None:
        super().__init__(type_, f"{title}: {detail}")
        self.status = status
        self.headers = headers or {}
        self.document = {"type": type_, "title": title, "status": status, "detail": detail, **extra}


class Unauthorised(Problem):
    """Nobody, or nobody any more, is signed in (401)."""

    def __init__(self, type_: str, title: str, detail: str, *, scheme: str = "Session") -> None:
        super().__init__(401, type_, title, detail, headers={"WWW-Authenticate": scheme})


class NotFound(Problem):
    """Absent, or another family's: the two must not be told apart (404)."""

    def __init__(self, what: str, next_action: str = "Check the id, and that it belongs to your family.") -> None:
        super().__init__(404, f"{what}-not-found", f"No such {what}", next_action)


class FieldError(BaseModel):
    """One field that was refused."""

    pointer: str = Field(description="Where in the request, as a JSON pointer after body, query, path or header")
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["session-expired"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
}


def answer(problem: Problem) -> JSONResponse:
    """Turn a problem into its response."""
    return JSONResponse(problem.document, problem.status, problem.headers, media_type=MEDIA_TYPE)


def install(application: FastAPI) -> None:
    """Make every error of the application a problem document."""

    async def problem(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return answer(error)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        # The refused values stay out: they may be a password or a child's name.
        errors = [
            {"pointer": "/" + "/".join(str(part) for part in entry["loc"]), "detail": entry["msg"]} for entry in error.errors()
        ]
        detail = "The request does not fit the interface; `errors` names each field. Correct them and send it again."
        return answer(Problem(422, "invalid-request", "Invalid request", detail, errors=errors))

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        title = HTTPStatus(error.status_code).phrase
        detail = "There is nothing at this address. See /api/openapi.json." if error.status_code == 404 else str(error.detail)
        type_ = title.lower().replace(" ", "-")
        return answer(Problem(error.status_code, type_, title, detail, headers=dict(error.headers or {})))

    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        logger.error("database unavailable: %s", type(error).__name__)
        detail = "The database does not answer at present. Nothing was stored; try again in a few seconds."
        return answer(Problem(503, "database-unavailable", "Service unavailable", detail, headers={"Retry-After": "2"}))

    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        logger.error("unforeseen error: %s", type(error).__name__)
        detail = "The service failed and wrote the cause to its log. Nothing was stored; tell the operator the time."
        return answer(Problem(500, "internal-error", "Internal error", detail))

    application.add_exception_handler(Problem, problem)
    application.add_exception_handler(RequestValidationError, invalid)
    application.add_exception_handler(HTTPException, http)
    for unreachable in (PoolTimeout, psycopg.OperationalError):
        application.add_exception_handler(unreachable, unavailable)
    application.add_exception_handler(Exception, unforeseen)
