"""Wires the gateway together, and starts it."""

import asyncio
import ipaddress
from datetime import UTC, datetime

import uuid6
from fastapi import FastAPI

from sluice_contracts.topology import AUTH_CHANGED
from sluice_gateway.app import make_app
from sluice_gateway.claims import CoalescedClaims
from sluice_gateway.domain import UploadTokens
from sluice_gateway.live import LiveEvents
from sluice_gateway.outcomes import NatsOutcomes
from sluice_gateway.places import CoalescedPlaces
from sluice_gateway.ports import Deps, Limits
from sluice_gateway.principals import CachedPrincipals
from sluice_gateway.routes.description import Api
from sluice_gateway.routes.edge import Edge, Places, Remembered
from sluice_gateway.settings import GatewaySettings
from sluice_gateway.store import SignedUrlStore
from sluice_runtime.broker import reconnects
from sluice_runtime.facts import Announcer
from sluice_runtime.rpc import NatsAsker
from sluice_runtime.service import Service
from sluice_runtime.settings import BadSettings, read_settings

_CONNECTIONS_PER_UPLOAD = 4
_PLAYERS = 128


def build(settings: GatewaySettings) -> tuple[Service, FastAPI]:
    """The service and its app, not yet started."""
    service = Service("gateway", settings)
    asker = NatsAsker(service.broker)
    outcomes = NatsOutcomes(instance=uuid6.uuid7().hex)
    live = LiveEvents(service.broker)
    principals = CachedPrincipals(asker, lambda: reconnects(service.broker))
    store = SignedUrlStore(
        settings.max_uploads_in_flight * _CONNECTIONS_PER_UPLOAD,
        send_buffer_bytes=settings.store_send_buffer_bytes,
    )
    # Players that pause keep their connection; they must not keep one from an upload.
    media = SignedUrlStore(_PLAYERS)
    deps = Deps(
        asker=asker,
        store=store,
        media=media,
        claims=CoalescedClaims(asker),
        places=CoalescedPlaces(asker),
        announcer=Announcer(service.broker, "gateway"),
        outcomes=outcomes,
        live=live,
        tokens=UploadTokens(settings.token_secret.get_secret_value()),
        limits=_limits(settings),
        now=lambda: datetime.now(UTC),
        new_id=lambda prefix: f"{prefix}_{uuid6.uuid7().hex}",
    )
    edge = Edge(
        deps=deps,
        principals=principals,
        trusted_proxies=_networks(settings.trusted_proxies),
        max_json_bytes=settings.max_json_bytes,
        media_proxy=settings.media_proxy,
        uploads=Places(settings.max_uploads_in_flight),
        strangers=Places(settings.max_uploads_in_flight),
        health=Remembered(),
        is_connected=service.is_connected,
    )

    async def hear() -> None:
        """Listen to what is said on core NATS; the client renews it after a reconnect."""
        connection = service.broker.connection
        await connection.subscribe(outcomes.subject, cb=outcomes.hear)
        await connection.subscribe(AUTH_CHANGED, cb=principals.hear_change)
        await asyncio.Event().wait()

    service.beside("hear", hear)
    service.stopping(live.end)
    service.closing(store.close)
    service.closing(media.close)
    app = Api(
        title="Sluice",
        description="Event-driven media ingest.",
        version="0.1.0",
        lifespan=service.lifespan,
        redirect_slashes=False,
    )
    return service, service.install(make_app(app, edge))


def _limits(settings: GatewaySettings) -> Limits:
    return Limits(
        presign_lifetime_seconds=settings.presign_lifetime_seconds,
        register_timeout_seconds=settings.register_timeout_seconds,
        max_upload_bytes=settings.max_upload_bytes,
        max_chunk_bytes=settings.max_chunk_bytes,
        max_call_bytes=settings.max_call_bytes,
        max_render_bytes=settings.max_render_bytes,
        parts_in_flight=settings.parts_in_flight,
        min_rate_bytes=settings.min_upload_rate_bytes,
        min_rate_seconds=settings.min_upload_rate_seconds,
    )


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise BadSettings(f"bad settings:\n  SLUICE_TRUSTED_PROXIES: {error}") from error


def main() -> None:
    """`sluice-gateway serve`."""
    service, app = build(read_settings(GatewaySettings))
    service.serve(app)
