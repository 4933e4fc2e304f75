"""Families: guardians and their sign-ins, children, wristbands and who wears them, gateways, consents, audit."""

from fastapi import APIRouter

from zenmoon_cloud.identity import auth_api, children_api, consents_api, gateways_api, wearables_api
from zenmoon_cloud.identity.access import (
    CurrentGateway,
    CurrentGuardian,
    current_gateway,
    current_guardian,
    gateway_from_token,
    websocket_guardian,
)
from zenmoon_cloud.identity.people import Gateway, Guardian

router = APIRouter()
for part in (auth_api, children_api, consents_api, gateways_api, wearables_api):
    router.include_router(part.router)

__all__ = [
    "CurrentGateway",
    "CurrentGuardian",
    "Gateway",
    "Guardian",
    "current_gateway",
    "current_guardian",
    "gateway_from_token",
    "router",
    "websocket_guardian",
]
