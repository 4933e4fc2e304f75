"""The decision log's three kinds of rows: what was chosen among what, how it was told, what came back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from zenmoon_cloud.decisions.draw import Options

NONE = "none"
"""The option of doing nothing; every decision has it."""

Slot = Literal["activity", "wording", "schedule"]

NOTHING: Options = ((NONE, 1.0),)


class Choice(NamedTuple):
    """What a policy answers.

    Attributes:
        options: Eligible options with their probabilities, sum exactly 1.
        chosen: One of them.
        available: Whether anything could have been chosen at all; False leaves only `none`.
        why_not: Why it was not available, as a word of the policy; None when it was.
    """

    options: Options
    chosen: str
    available: bool = True
    why_not: str | None = None

    @property
    def randomised(self) -> bool:
        """Whether chance had a say."""
        return len(self.options) > 1


Policy = Callable[[Mapping[str, Any], float], Choice]
"""From the features of a logged state and a uniform number in [0, 1) to a choice; the same always gives the same."""


@dataclass(frozen=True, kw_only=True)
class DecisionPoint:
    """One choice for a child, complete: from `state` and `policy` it can be made again.

    Attributes:
        id: Its public number, given by the database; None before.
        at: When, in event time.
        slot: What was chosen.
        slot_start: Begin of the half hour that the decision was due in; None when somebody asked for it.
        parent_decision_id: The decision that this one refines.
        options: Eligible options with their probabilities, in the order of the draw.
        chosen: One of them.
        available: Whether anything could have been chosen.
        randomised: Whether chance had a say.
        policy: Name of the rule or model that chose.
        state: ``features``, ``u`` (the uniform number) and ``why_not``.
        arm: Of a running experiment.
    """

    family_id: UUID
    child_id: str
    at: datetime
    slot: Slot
    options: Options
    chosen: str
    available: bool
    randomised: bool
    policy: str
    state: Mapping[str, Any]
    slot_start: datetime | None = None
    parent_decision_id: int | None = None
    arm: str | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.options]
        if len(set(names)) != len(names) or NONE not in names or self.chosen not in names:
            raise ValueError("options must differ, and `none` and the chosen one must be among them")
        if not all(0 < probability <= 1 for _, probability in self.options) or math.fsum(p for _, p in self.options) != 1:
            raise ValueError("probabilities must lie in (0, 1] and add up to 1")
        if self.randomised != (len(names) > 1) or not (self.available or self.options == NOTHING):
            raise ValueError("one option is no draw, and without availability `none` is the only one")

    @property
    def propensity(self) -> float:
        """The probability with which the chosen option was chosen."""
        return dict(self.options)[self.chosen]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The words in which a decision reached the guardians.

    Attributes:
        decision_id: The decision's public number.
        channel: Where it was shown; `page` is the parents' page.
        text: Two sentences.
        explanation: Why this and why now, one sentence.
        receipt: Facts used, with ids, values and units; policy, propensity, model version, the activity as it was shown.
        sent_at: Event time.
        seen_at: Event time at which a guardian first had it in view.
    """

    family_id: UUID
    decision_id: int
    text: str
    explanation: str
    receipt: Mapping[str, Any]
    sent_at: datetime
    channel: str = "page"
    seen_at: datetime | None = None
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Something that came back on a decision. An undo is a new row.

    Attributes:
        source: Whose it is, such as `guardian`.
        kind: What it is, such as `thumb`.
        value: -1 to 1; 0 undoes.
        latency_s: From the delivery, in event time.
        confidence: 0 to 1, how much the value can be trusted.
        supersedes: The row that this one replaces.
        guardian_id: Who gave it, where a guardian did.
    """

    family_id: UUID
    decision_id: int
    source: Literal["guardian"]
    kind: Literal["thumb"]
    value: float
    latency_s: float
    confidence: float
    at: datetime
    supersedes: UUID | None = None
    guardian_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)
