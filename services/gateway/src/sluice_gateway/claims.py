"""Claims on uploads; those that are asked for at the same time travel together."""

from collections.abc import Sequence

from sluice_contracts.questions import Claim, ClaimUploads, UploadClaimed
from sluice_runtime.coalesce import Coalescer
from sluice_runtime.errors import Unavailable, revive
from sluice_runtime.rpc import Asks

_MOST = 100


class CoalescedClaims:
    """Asks the catalog for claims, many in one question."""

    def __init__(self, asker: Asks) -> None:
        self._asker = asker
        self._waiting: Coalescer[Claim, UploadClaimed] = Coalescer(self._ask, _MOST)

    async def claim(self, claim: Claim) -> UploadClaimed:
        """The single use of an upload; raises what the catalog refused it with."""
        return await self._waiting.submit(claim)

    async def _ask(self, claims: Sequence[Claim]) -> list[UploadClaimed | Exception]:
        answer = await self._asker.ask(ClaimUploads(claims=tuple(claims)))
        results: list[UploadClaimed | Exception] = []
        for result in answer.results:
            if result.claimed is not None:
                results.append(result.claimed)
            elif result.failure is not None:
                results.append(revive(result.failure))
            else:
                results.append(Unavailable("The catalog gave no answer to this claim."))
        return results
