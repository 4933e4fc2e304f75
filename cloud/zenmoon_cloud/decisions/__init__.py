"""The one decision log: what was chosen for a child among what and with which chance, how it was told, what came back."""

from zenmoon_cloud.decisions.api import router
from zenmoon_cloud.decisions.document import document
from zenmoon_cloud.decisions.draw import FLOOR, Options, draw, shares
from zenmoon_cloud.decisions.live import changes
from zenmoon_cloud.decisions.log import NONE, NOTHING, Choice, DecisionPoint, Delivery, Feedback, Policy
from zenmoon_cloud.decisions.replay import replay
from zenmoon_cloud.decisions.store import decide, deliver, find, latest, lock_child, recent, standing_thumb

__all__ = [
    "FLOOR",
    "NONE",
    "NOTHING",
    "Choice",
    "DecisionPoint",
    "Delivery",
    "Feedback",
    "Options",
    "Policy",
    "changes",
    "decide",
    "deliver",
    "document",
    "draw",
    "find",
    "latest",
    "lock_child",
    "recent",
    "replay",
    "router",
    "shares",
    "standing_thumb",
]
