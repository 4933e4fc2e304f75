"""What surrounds the items of a batch; a flaw here refuses the whole request, and nothing is stored."""

from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError
from zenmoon_edge.messages import Batch

from zenmoon_cloud.problems import Problem

ITEMS = 5_000
"""Most items of a batch: over five hours of one wearable, and a transaction of well under a second."""

Name = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]


class Envelope(BaseModel):
    """A batch as a gateway sends it; its items are read by columns later."""

    batch_id: Name
    gateway_id: Name
    sent_at: AwareDatetime
    items: list[Any] = Field(max_length=ITEMS)


def open_envelope(body: bytes) -> Batch:
    """Reads a request's body.

    Raises:
        Problem: 400 when it is no JSON (NaN and Infinity are none), 413 when it has too many items, 422 when a field is
            missing or wrong.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as flaw:
        detail = f"The body is not JSON at line {flaw.lineno}, column {flaw.colno}: {flaw.msg}."
        raise Problem(400, "bad-json", "Not JSON", detail) from None
    try:
        envelope = Envelope.model_validate(document)
    except ValidationError as flaws:
        errors = [
            {"pointer": "/" + "/".join(map(str, flaw["loc"])), "detail": flaw["msg"]}
            for flaw in flaws.errors(include_url=False, include_input=False, include_context=False)
        ]
        if any(flaw["type"] == "too_long" for flaw in flaws.errors()):
            detail = f"A batch may have {ITEMS} items. Send less at a time."
            raise Problem(413, "too-many-items", "Too many items", detail) from None
        detail = "The batch does not fit the interface; `errors` names each field. Nothing was stored."
        raise Problem(422, "bad-envelope", "Bad envelope", detail, errors=errors) from None
    return Batch(envelope.batch_id, envelope.gateway_id, envelope.sent_at.isoformat(), envelope.items)
