"""The way in for observations: validated by columns, stored once, or accounted for."""

from zenmoon_cloud.ingest.accept import accept
from zenmoon_cloud.ingest.api import router

__all__ = ["accept", "router"]
