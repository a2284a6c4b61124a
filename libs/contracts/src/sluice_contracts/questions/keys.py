"""Asked of the catalog: whose key is it?"""

from sluice_contracts.base import Contract, Moment, Sha256, Token
from sluice_contracts.questions.base import Question


class Principal(Contract):
    """Who is calling: its tenant, its name, and what it may do."""

    tenant: Token
    subject: str
    scopes: frozenset[str]
    expires_at: Moment | None = None


class ResolveKey(Question[Principal]):
    """Whose token is this? The token itself never travels."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "key", "resolve", Principal

    token_sha256: Sha256
