"""Messages of threads: keeping, reading and deleting them, with the renders they carry."""

from datetime import datetime, timedelta

from sluice_catalog.domain import Message
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.renders import attach, delete_renders
from sluice_contracts.base import JsonObject
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
)
from sluice_runtime.errors import Conflict

_ADD_SCOPE = "messages.add"
_MOST_BYTES = 2 * 1024**2
# As many as a new message may name, so that each message fits into an answer.
_MOST_RENDERS = 100
# Large, and to be forgotten with its message: a repeat brings it along.
_OF_THE_SENDER = {"snapshot", "snapshot_metadata"}


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
                return _repeated(first, question)
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
        await _attach_all(question, now, work)
        answer = await _with_renders(_shown(message), work)
        if question.idempotency:
            kept = answer.model_dump(mode="json", exclude=_OF_THE_SENDER)
            await work.replays.keep(question.tenant, _ADD_SCOPE, question.idempotency, kept, now)
        await work.commit()
    deps.wake_relay()
    return answer


def _repeated(first: JsonObject, question: AddMessage) -> MessageView:
    """The first answer, with what the same question says again."""
    said = question.model_dump(include=_OF_THE_SENDER)
    return MessageView.model_validate({**first, **said})


async def _attach_all(question: AddMessage, now: datetime, work: Work) -> None:
    """Attach what a new message names, in the order in which it does.

    They are locked in another order, that of their ids: two messages that name the same renders
    wait for each other instead of dying in a deadlock.
    """
    named = {one: number for number, one in enumerate(dict.fromkeys(question.renders))}
    for render_id in sorted(named):
        at = now + timedelta(microseconds=named[render_id])
        await attach(
            work, question.tenant, render_id, question.message_id, actor=question.actor, at=at
        )


def _shown(message: Message) -> MessageView:
    return MessageView(
        message_id=message.message_id,
        parent_thread=message.parent_thread,
        user_id=message.user_id,
        snapshot=message.snapshot,
        snapshot_metadata=message.snapshot_metadata,
        timestamp=message.timestamp,
        created_at=message.created_at,
    )


async def _with_renders(view: MessageView, work: Work) -> MessageView:
    found = await work.renders.of_messages([view.message_id])
    return view.model_copy(update={"renders": tuple(found.get(view.message_id, ()))})


async def get_message(question: GetMessage, deps: Deps) -> MessageView:
    """Raises `NotFound` for a message of another tenant too."""
    async with deps.work() as work:
        view = await work.messages.view(
            question.tenant, question.message_id, with_snapshot=question.with_snapshot
        )
        return await _with_renders(view, work)


async def list_messages(question: ListMessages, deps: Deps) -> Messages:
    """A page of messages, as many as one answer can carry; no more are read."""
    with_snapshot = question.with_snapshot
    async with deps.work() as work:
        found = await work.messages.page(question, question.limit + 1)
        ids = [one.id for one in found[: question.limit]]
        count = await work.messages.fitting(
            ids, with_snapshot=with_snapshot, most_bytes=_MOST_BYTES
        )
        views = await work.messages.views(ids[:count], with_snapshot=with_snapshot)
        renders = await work.renders.of_messages(ids[:count])
    # One that was deleted in between is left out.
    shown = [
        views[one].model_copy(update={"renders": tuple(renders.get(one, ()))})
        for one in ids[:count]
        if one in views
    ]
    fitting = _fitting(shown)
    cut = len(fitting) < len(shown)
    end = ids.index(fitting[-1].message_id) + 1 if cut else count
    following = found[end - 1] if end < len(found) else None
    return Messages(messages=tuple(fitting), next=following)


def _fitting(views: list[MessageView]) -> list[MessageView]:
    """As many as one message of the bus can carry with their renders, and at least one: each fits
    by itself."""
    size = 0
    for count, view in enumerate(views):
        size += len(view.model_dump_json())
        if size > 2 * _MOST_BYTES and count > 0:
            return views[:count]
    return views


async def attach_render(question: AttachRender, deps: Deps) -> Done:
    """Let a message carry a render.

    Raises:
        NotFound: the tenant has no such message, or no such render.
        Conflict: another message carries the render, or this one carries too many.
    """
    message_id = question.message_id
    async with deps.work() as work:
        await work.messages.lock(question.tenant, message_id)
        await attach(
            work,
            question.tenant,
            question.render_id,
            message_id,
            actor=question.actor,
            at=work.now(),
        )
        if await work.renders.count_of(message_id) > _MOST_RENDERS:
            raise Conflict(
                f"A message carries at most {_MOST_RENDERS} renders.", code="too-many-renders"
            )
        await work.commit()
    deps.wake_relay()
    return Done()


async def delete_message(question: DeleteMessage, deps: Deps) -> MessageDeleted:
    """Forget a message and its renders at once; raises `NotFound`."""
    async with deps.work() as work:
        await work.messages.lock(question.tenant, question.message_id)
        renders = await work.renders.lock_of_message(question.message_id)
        if renders:
            reason = "its message was deleted"
            await delete_renders(work, renders, actor=question.actor, reason=reason)
        await work.messages.delete(question.message_id)
        await work.commit()
    deps.wake_relay()
    return MessageDeleted(renders_deleted=len(renders))
