"""Renders: their birth from stored bytes, the message that claims them, and their end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sluice_catalog.domain import Render, first_change, moved, render_of
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.discarding import discard_uploads
from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectStored, RenderUpload
from sluice_contracts.questions import GetRender, RenderView
from sluice_contracts.statuses import Kind, RenderStatus
from sluice_runtime.errors import Conflict
from sluice_runtime.trace import trace_of, tracing

_SWEPT_AT_ONCE = 100


async def take_renders(events: Sequence[Event[ObjectStored]], work: Work) -> None:
    """Make renders of stored bytes. One that is there already stays as it is: messages repeat."""
    told = [(event, event.data.registration) for event in events]
    wanted = {reg.render_id: (event, reg) for event, reg in told if isinstance(reg, RenderUpload)}
    known = await work.renders.known(list(wanted))
    fresh = [pair for render_id, pair in wanted.items() if render_id not in known]
    steps = await work.steps_of(Kind.RENDER, [str(reg.render_id) for _, reg in fresh])
    added: list[Render] = []
    for event, registration in fresh:
        first = steps.get(str(registration.render_id), 0) + 1
        render = render_of(event.data, registration, first)
        born = first_change(Kind.RENDER, render.tenant, render.id, None, render.status, first)
        with tracing(trace_of(event.envelope)):
            work.record([born], actor=registration.created_by, at=work.now())
        added.append(render)
    await work.renders.add(added)


async def get_render(question: GetRender, deps: Deps) -> RenderView:
    """Raises `NotFound` for a render of another tenant too."""
    async with deps.work() as work:
        return await work.renders.view(question.tenant, question.render_id)


async def attach(
    work: Work, tenant: str, render_id: UUID, message_id: str, *, actor: str, at: datetime
) -> None:
    """Let a message that is held carry a render; repeating it changes nothing.

    Raises:
        NotFound: the tenant has no such render.
        Conflict: another message carries it.
    """
    render = await work.renders.lock(tenant, render_id)
    if render.message_id == message_id:
        return
    if render.message_id is not None:
        raise Conflict(
            f"Render {render_id} is attached to another message.", code="render-attached"
        )
    attached, changes = moved(render, RenderStatus.ATTACHED)
    await work.renders.save(replace(attached, message_id=message_id, attached_at=at))
    work.record(changes, actor=actor, at=at)


async def delete_renders(work: Work, renders: Sequence[Render], *, actor: str, reason: str) -> None:
    """End renders that are held: subscribers are told, and their objects removed."""
    now = work.now()
    for render in renders:
        work.record(moved(render, RenderStatus.DELETED, reason=reason)[1], actor=actor, at=now)
    for tenant in sorted({render.tenant for render in renders}):
        ids = [render.upload_id for render in renders if render.tenant == tenant]
        await discard_uploads(work, tenant, ids)
    await work.renders.delete([render.render_id for render in renders])


async def sweep_renders(deps: Deps) -> int:
    """End renders that no message claimed in time; returns how many."""
    swept = 0
    while True:
        async with deps.work() as work:
            before = await work.clock() - deps.render_lifetime
            unclaimed = await work.renders.lock_unclaimed(before, _SWEPT_AT_ONCE)
            if unclaimed:
                reason = "no message claimed it"
                await delete_renders(work, unclaimed, actor="catalog", reason=reason)
                await work.commit()
        swept += len(unclaimed)
        if len(unclaimed) < _SWEPT_AT_ONCE:
            break
    if swept:
        deps.wake_relay()
    return swept
