"""`sluice reconcile`: compare the bucket with the rows, and repair what differs."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal

from nats.aio.client import Client as Connection
from pydantic import BaseModel, ConfigDict

from sluice_cli.differences import Difference, join, judge
from sluice_cli.failures import ALL_DONE, SOME_FAILED, RefusedError
from sluice_cli.reporting import Report
from sluice_cli.rpc import ask
from sluice_contracts.questions import (
    FindOwners,
    FoundObject,
    ListFoundObjects,
    ListOwnedObjects,
    OwnedObject,
)

_FOUND_PAGE = 100
_OWNED_PAGE = 500

Outcome = Literal["found", "repaired", "refused", "needs-a-person"]


class Finding(BaseModel):
    """A difference and what was done about it."""

    model_config = ConfigDict(frozen=True)

    difference: Difference
    outcome: Outcome
    reason: str | None = None


class Summary(BaseModel):
    """The last line of a run."""

    model_config = ConfigDict(frozen=True)

    compared: int
    differences: dict[str, int]
    repaired: int
    remaining: int


class Reconciler:
    """One comparison of everything. `older_than` is how long a change may take to settle."""

    def __init__(self, connection: Connection, *, apply: bool, older_than: timedelta) -> None:
        self._connection = connection
        self._apply = apply
        self._older_than = older_than
        self.compared = 0

    async def findings(self) -> AsyncIterator[Finding]:
        """Every difference that is still there when looked at a second time."""
        pairs = join(self._found("", _FOUND_PAGE), self._owned())
        async for found, owned in pairs:
            self.compared += 1
            if judge(found, owned, self._settled()) is None:
                continue
            # The two lists are read at different moments and things move meanwhile.
            key = found.key if found else owned.key if owned else ""
            difference = await self._look_again(key)
            if difference is not None:
                yield await self._treat(difference)

    async def _treat(self, difference: Difference) -> Finding:
        command = difference.repair()
        if command is None:
            return Finding(difference=difference, outcome="needs-a-person")
        if not self._apply:
            return Finding(difference=difference, outcome="found")
        try:
            await ask(self._connection, command)
        except RefusedError as refusal:
            return Finding(difference=difference, outcome="refused", reason=str(refusal))
        return Finding(difference=difference, outcome="repaired")

    async def _look_again(self, key: str) -> Difference | None:
        # Rows first: a row says stored only after its object is there, so an object that is
        # looked for afterwards cannot merely be late.
        owners = await ask(self._connection, FindOwners(keys=(key,)))
        found = await self._find(key)
        return judge(found, next(iter(owners.objects), None), self._settled())

    async def _find(self, key: str) -> FoundObject | None:
        # A list begins behind a key, never at one: the key without its end lies just before it.
        async for found in self._found(key[:-1], 1):
            if found.key >= key:
                return found if found.key == key else None
        return None

    async def _found(self, after: str, limit: int) -> AsyncIterator[FoundObject]:
        while True:
            page = await ask(self._connection, ListFoundObjects(after=after, limit=limit))
            if not page.objects:
                return
            for found in page.objects:
                yield found
            after = page.objects[-1].key

    async def _owned(self) -> AsyncIterator[OwnedObject]:
        after = ""
        while True:
            page = await ask(self._connection, ListOwnedObjects(after=after, limit=_OWNED_PAGE))
            if not page.objects:
                return
            for owned in page.objects:
                yield owned
            after = page.objects[-1].key

    def _settled(self) -> datetime:
        return datetime.now(UTC) - self._older_than


async def reconcile(reconciler: Reconciler, report: Report) -> int:
    """Print every difference and a summary; `SOME_FAILED` when differences remain."""
    kinds: Counter[str] = Counter()
    repaired = 0
    async for finding in reconciler.findings():
        difference = finding.difference
        kinds[difference.kind] += 1
        repaired += finding.outcome == "repaired"
        if report.as_json:
            report.result(finding)
        reason = f": {finding.reason}" if finding.reason else ""
        report.line(
            f"{difference.kind} {difference.key} ({difference.detail}) {finding.outcome}{reason}"
        )
    remaining = kinds.total() - repaired
    summary = Summary(
        compared=reconciler.compared,
        differences=dict(kinds),
        repaired=repaired,
        remaining=remaining,
    )
    if report.as_json:
        report.result(summary)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no difference"
    report.line(
        f"{summary.compared} keys compared: {told}; {repaired} repaired, {remaining} remain"
    )
    return SOME_FAILED if remaining else ALL_DONE
