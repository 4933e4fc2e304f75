"""What was measured: stored observations by time, and live as they commit."""

from zenmoon_cloud.series.api import lifespan, router

__all__ = ["lifespan", "router"]
