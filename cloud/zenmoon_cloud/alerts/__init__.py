"""Alarms: strain above a child's own limit for some minutes, told to its guardians until it has ended and they have seen it."""

from zenmoon_cloud.alerts.api import router
from zenmoon_cloud.alerts.episodes import Sample
from zenmoon_cloud.alerts.folding import fold
from zenmoon_cloud.alerts.live import changes

__all__ = ["Sample", "changes", "fold", "router"]
