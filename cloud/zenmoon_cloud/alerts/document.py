"""An alarm as the service gives it away."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from zenmoon_cloud.alerts.words import sentence


class Alert(BaseModel):
    """Strain was above a child's usual limit for some minutes. Times are event time, but for `raised_at` and `acknowledged_at`."""

    id: UUID
    child_id: str
    rule: Literal["strain"]
    state: Literal["open", "closed"] = Field(description="Open until it has ended and a guardian has acknowledged it")
    began_at: datetime = Field(description="Begin of the first episode")
    raised_at: datetime = Field(description="When the service knew, on its clock")
    ended_at: datetime | None = Field(description="End of the last episode; null while it goes on")
    acknowledged_at: datetime | None
    acknowledged_by: str | None = Field(description="Display name of the guardian")
    threshold: float = Field(description="Strain from which on it counted, as it was when the alarm was raised")
    minutes: int = Field(description="For how long, at least")
    peak: float = Field(description="Highest strain, in steps of 0.01")
    episodes: int = Field(description="How often, while it was open; 0 = records that arrived late showed that it was no alarm")
    revision: int = Field(description="Counts changes: the same id and revision say the same")
    message: str = Field(description="All this in a sentence, in the child's local time")


def document(row: Mapping[str, Any]) -> Alert:
    """What a row of the store's alarms says."""
    message = sentence(
        row["name"],
        row["zone"],
        began=row["began_at"],
        ended=row["ended_at"],
        raised=row["raised_at"],
        minutes=row["minutes"],
        episodes=row["episodes"],
    )
    return Alert(**row, state="closed" if row["closed"] else "open", message=message)
