"""Who is asking: a guardian in front of a page, or a gateway with records."""

from typing import NamedTuple
from uuid import UUID


class Guardian(NamedTuple):
    """A signed-in adult.

    Attributes:
        id: Of the guardian.
        family_ids: Families whose rows this guardian sees.
        email: As registered.
        display_name: As registered.
        operator: Runs the service. It opens no family.
    """

    id: UUID
    family_ids: tuple[UUID, ...]
    email: str
    display_name: str
    operator: bool


class Gateway(NamedTuple):
    """A phone that delivers the records of one family."""

    id: str
    family_id: UUID
