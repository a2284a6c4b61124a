"""Messages of threads: keeping, reading and deleting them, with the renders they carry."""

from collections.abc import Sequence

from sluice_catalog.domain import Message
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.renders import attach, delete_renders
from sluice_contracts.questions import (
    AddMessage,
    AttachRender,
    DeleteMessage,
    Done,
    GetMessage,
    ListMessages,
    MessageDeleted,
    Messages,
    MessageView,
    Page,
    RenderView,
)

_ADD_SCOPE = "messages.add"
_MOST_BYTES = 2 * 1024**2


async def add_message(question: AddMessage, deps: Deps) -> MessageView:
    """Keep a message with its renders: all of them, or nothing.

    Raises:
        NotFound: one of the renders is not there.
        Conflict: one of them is attached to another message.
    """
    async with deps.work() as work:
        if question.idempotency:
            first = await work.replays.find(question.tenant, _ADD_SCOPE, question.idempotency)
            if first is not None:
                return MessageView.model_validate(first)
        now = work.now()
        message = Message(
            message_id=question.message_id,
            tenant=question.tenant,
            parent_thread=question.parent_thread,
            user_id=question.user_id,
            snapshot=question.snapshot,
            snapshot_metadata=question.snapshot_metadata,
            timestamp=question.timestamp or now,
            created_at=now,
        )
        await work.messages.add(message)
        for render_id in dict.fromkeys(question.renders):
            await attach(work, question.tenant, render_id, message.message_id, actor=question.actor)
        answer = await _view(message, work)
        if question.idempotency:
            kept = answer.model_dump(mode="json")
            await work.replays.keep(question.tenant, _ADD_SCOPE, question.idempotency, kept, now)
        await work.commit()
    deps.wake_relay()
    return answer


async def _view(message: Message, work: Work, *, with_snapshot: bool = True) -> MessageView:
    found = await work.renders.of_messages([message.message_id])
    return _shown(message, found.get(message.message_id, ()), with_snapshot=with_snapshot)


def _shown(message: Message, renders: Sequence[RenderView], *, with_snapshot: bool) -> MessageView:
    return MessageView(
        message_id=message.message_id,
        parent_thread=message.parent_thread,
        user_id=message.user_id,
        snapshot=message.snapshot if with_snapshot else None,
        snapshot_metadata=message.snapshot_metadata,
        timestamp=message.timestamp,
        created_at=message.created_at,
        renders=tuple(renders),
    )


async def get_message(question: GetMessage, deps: Deps) -> MessageView:
    """Raises `NotFound` for a message of another tenant too."""
    async with deps.work() as work:
        message = await work.messages.get(question.tenant, question.message_id)
        return await _view(message, work, with_snapshot=question.with_snapshot)


async def list_messages(question: ListMessages, deps: Deps) -> Messages:
    """A page of messages, as many as one answer can carry."""
    async with deps.work() as work:
        found = await work.messages.page(question, question.limit + 1)
        shown = found[: question.limit]
        renders = await work.renders.of_messages([one.message_id for one in shown])
    views = [
        _shown(one, renders.get(one.message_id, ()), with_snapshot=question.with_snapshot)
        for one in shown
    ]
    fitting = _fitting(views)
    following = None
    if len(found) > len(fitting):
        last = fitting[-1]
        following = Page(created_at=last.timestamp, id=last.message_id)
    return Messages(messages=tuple(fitting), next=following)


def _fitting(views: list[MessageView]) -> list[MessageView]:
    """As many as one message of the bus can carry, and at least one: each fits by itself."""
    size = 0
    for count, view in enumerate(views):
        size += len(view.model_dump_json())
        if size > _MOST_BYTES and count > 0:
            return views[:count]
    return views


async def attach_render(question: AttachRender, deps: Deps) -> Done:
    """Let a message carry a render.

    Raises:
        NotFound: the tenant has no such message, or no such render.
        Conflict: another message carries the render.
    """
    async with deps.work() as work:
        message = await work.messages.get(question.tenant, question.message_id, lock=True)
        await attach(
            work, question.tenant, question.render_id, message.message_id, actor=question.actor
        )
        await work.commit()
    deps.wake_relay()
    return Done()


async def delete_message(question: DeleteMessage, deps: Deps) -> MessageDeleted:
    """Forget a message and its renders at once; raises `NotFound`."""
    async with deps.work() as work:
        message = await work.messages.get(question.tenant, question.message_id, lock=True)
        renders = await work.renders.lock_of_message(message.message_id)
        if renders:
            reason = "its message was deleted"
            await delete_renders(work, renders, actor=question.actor, reason=reason)
        await work.messages.delete(message.message_id)
        await work.commit()
    deps.wake_relay()
    return MessageDeleted(renders_deleted=len(renders))
