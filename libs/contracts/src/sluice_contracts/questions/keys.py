"""Asked of the catalog: whose key is it?"""

from uuid import UUID

from sluice_contracts.base import Contract, Moment, Sha256, Token
from sluice_contracts.questions.base import Question


class DeviceIdentity(Contract):
    """A recorder, and the place it was put up at."""

    device_id: UUID
    point_id: UUID
    register_id: UUID
    is_enabled: bool


class Principal(Contract):
    """Who is calling: its tenant, its name, and what it may do; of a recorder also which it is."""

    tenant: Token
    subject: str
    scopes: frozenset[str]
    expires_at: Moment | None = None
    device: DeviceIdentity | None = None


class ResolveKey(Question[Principal]):
    """Whose token is this? The token itself never travels."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "key", "resolve", Principal

    token_sha256: Sha256
