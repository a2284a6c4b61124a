"""Asked of the catalog: recorders, and which of them may upload."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Contract, Moment, Sha256, Token
from sluice_contracts.questions.base import Question
from sluice_contracts.questions.recordings import Page
from sluice_contracts.questions.uploads import Idempotency


class DeviceView(Contract):
    """A recorder as administrators see it: everything but its token."""

    device_id: UUID
    point_id: UUID
    register_id: UUID
    is_enabled: bool
    created_at: Moment
    last_seen_at: Moment | None = None


class AddDevice(Question[DeviceView]):
    """Make a recorder known. Its token never travels, only the digest of it."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "device", "add", DeviceView

    tenant: Token
    device_id: UUID
    point_id: UUID
    register_id: UUID
    token_sha256: Sha256
    idempotency: Idempotency | None = None


class Devices(Contract):
    devices: tuple[DeviceView, ...]
    next: Page | None


class ListDevices(Question[Devices]):
    """The recorders of a tenant, newest first."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "device", "list", Devices

    tenant: Token
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class ChangeDevice(Question[DeviceView]):
    """Let a recorder in or out, or give it another token; None leaves a thing as it is."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "device", "change", DeviceView

    tenant: Token
    device_id: UUID
    is_enabled: bool | None = None
    token_sha256: Sha256 | None = None
