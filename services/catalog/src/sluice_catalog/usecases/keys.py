"""API keys: whose they are, and which must not exist."""

from sluice_catalog.domain import WELL_KNOWN_TOKENS, Device, token_digest
from sluice_catalog.ports import Deps
from sluice_contracts.questions import DeviceIdentity, Principal, ResolveKey
from sluice_runtime.errors import NotFound

_DEVICE_SCOPES = frozenset({"chunks:read"})


async def resolve_key(question: ResolveKey, deps: Deps) -> Principal:
    """Raises `NotFound` for a key that is unknown, expired or revoked."""
    async with deps.work() as work:
        principal = await work.keys.resolve(question.token_sha256)
        if principal is None:
            device = await work.devices.with_token(question.token_sha256)
            principal = None if device is None else _principal_of(device)
    if principal is None:
        raise NotFound("There is no such key.", code="key-unknown")
    return principal


def _principal_of(device: Device) -> Principal:
    """A recorder may look at its chunks; that it may send them follows from its being one."""
    return Principal(
        tenant=device.tenant,
        subject=f"device:{device.device_id}",
        scopes=_DEVICE_SCOPES if device.is_enabled else frozenset(),
        device=DeviceIdentity(
            device_id=device.device_id,
            point_id=device.point_id,
            register_id=device.register_id,
            is_enabled=device.is_enabled,
        ),
    )


async def has_well_known_key(deps: Deps) -> bool:
    """Whether a key from the documentation is valid here."""
    async with deps.work() as work:
        return await work.keys.any_of([token_digest(token) for token in WELL_KNOWN_TOKENS])
