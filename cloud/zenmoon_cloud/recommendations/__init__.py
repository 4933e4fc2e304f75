"""Suggestions for a child: what is known now, a decision, two sentences, and the way back for thumbs."""

from zenmoon_cloud.recommendations.api import router

__all__ = ["router"]
