"""What of the log's SQL the worker runs too; named here so that it is prepared under the worker's role as well."""

from zenmoon_cloud.decisions.store import ADD_DECISION, ADD_DELIVERY, LOCK_CHILD, RECENT

ROLE = "worker"

__all__ = ["ADD_DECISION", "ADD_DELIVERY", "LOCK_CHILD", "RECENT", "ROLE"]
