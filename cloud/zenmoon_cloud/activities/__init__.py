"""What a child can do, and the rule that picks among it."""

from collections.abc import Mapping

from zenmoon_cloud.activities import rule
from zenmoon_cloud.activities.features import Features
from zenmoon_cloud.activities.library import BY_ID, LIBRARY, Activity
from zenmoon_cloud.activities.sleep_need import least_sleep_h
from zenmoon_cloud.decisions import Policy

POLICIES: Mapping[str, Policy] = {rule.NAME: rule.replayed}
"""Every policy that ever chose an activity, by the name that the log gives."""

__all__ = ["BY_ID", "LIBRARY", "POLICIES", "Activity", "Features", "least_sleep_h", "rule"]
