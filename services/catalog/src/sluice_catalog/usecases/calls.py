"""Calls: their birth from stored bytes, their status, reading and deleting them."""

from collections.abc import Sequence
from dataclasses import replace

from sluice_catalog.domain import Call, call_of, first_change, known_uuid, moved
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.discarding import discard_uploads
from sluice_contracts.envelope import Event
from sluice_contracts.facts import CallUpload, ObjectStored
from sluice_contracts.questions import (
    Calls,
    CallView,
    DeleteCall,
    Done,
    GetCall,
    GetCallHistory,
    ListCalls,
    Page,
    ReportStatus,
    StatusSteps,
)
from sluice_contracts.statuses import CallStatus, Kind
from sluice_contracts.tasks import TranscriptionTask
from sluice_runtime.trace import trace_of, tracing


async def take_calls(events: Sequence[Event[ObjectStored]], work: Work) -> None:
    """Make calls of stored bytes, each with the task of transcribing it.

    A call that is there already stays as it is: messages repeat.
    """
    told = [(event, event.data.registration) for event in events]
    wanted = {reg.call_id: (event, reg) for event, reg in told if isinstance(reg, CallUpload)}
    known = await work.calls.known(list(wanted))
    fresh = [pair for call_id, pair in wanted.items() if call_id not in known]
    steps = await work.steps_of(Kind.CALL, [str(reg.call_id) for _, reg in fresh])
    added: list[Call] = []
    for event, registration in fresh:
        first = steps.get(str(registration.call_id), 0) + 1
        call = call_of(event.data, registration, first)
        born = first_change(Kind.CALL, call.tenant, call.id, None, call.status, first)
        with tracing(trace_of(event.envelope)):
            work.record([born], actor=registration.created_by, at=work.now())
            _ask_for_transcript(call, event.data.bytes.bucket, event.data.bytes.key, work)
        added.append(call)
    await work.calls.add(added)


def _ask_for_transcript(call: Call, bucket: str, key: str, work: Work) -> None:
    """The task is as durable as the row: the outbox holds it until the bus takes it."""
    task = TranscriptionTask(
        call_id=call.call_id,
        s3_bucket=bucket,
        s3_key=key,
        format=call.format,
        timestamp=work.now(),
    )
    work.outbox.add_task(task, tenant=call.tenant, priority=call.priority)


async def get_call(question: GetCall, deps: Deps) -> CallView:
    """Raises `NotFound` for a call of another tenant too."""
    async with deps.work() as work:
        return await work.calls.view(question.tenant, question.call_id)


async def list_calls(question: ListCalls, deps: Deps) -> Calls:
    """A page of calls, newest first."""
    async with deps.work() as work:
        found = await work.calls.page(question, question.limit + 1)
    shown = found[: question.limit]
    more = len(found) > question.limit
    following = Page(created_at=shown[-1].created_at, id=str(shown[-1].call_id)) if more else None
    return Calls(calls=tuple(shown), next=following)


async def get_call_history(question: GetCallHistory, deps: Deps) -> StatusSteps:
    """Raises `NotFound` for a call of another tenant too."""
    async with deps.work() as work:
        call = await work.calls.view(question.tenant, question.call_id)
        return StatusSteps(steps=tuple(await work.calls.history(call.call_id)))


async def move_call(question: ReportStatus, status: CallStatus, work: Work) -> None:
    """Take a worker's word for how far it is. A call that begins again gets a new task.

    Raises:
        NotFound: there is no such call.
        IllegalTransition: the table has no such move.
    """
    call = await work.calls.lock(question.tenant, known_uuid(question.id, "call"))
    changed, changes = moved(call, status, reason=question.reason)
    if not changes:
        return
    await work.calls.save(replace(changed, updated_at=work.now()))
    work.record(changes, actor=question.actor, at=work.now())
    if changed.status is CallStatus.UPLOADED:
        stored = (await work.objects.of_uploads([call.upload_id]))[call.upload_id]
        _ask_for_transcript(call, stored.bucket, stored.key, work)


async def delete_call(question: DeleteCall, deps: Deps) -> Done:
    """Forget a call at once and have its object removed; raises `NotFound`."""
    async with deps.work() as work:
        call = await work.calls.lock(question.tenant, question.call_id)
        await discard_uploads(work, call.tenant, [call.upload_id])
        await work.calls.delete(call.call_id)
        await work.commit()
    deps.wake_relay()
    return Done()
