"""What the catalog listens to: facts about objects, and questions."""

from functools import partial

import uuid6
from faststream.nats import NatsBroker

from sluice_catalog.ports import Deps
from sluice_catalog.usecases import (
    batches,
    calls,
    chunks,
    devices,
    direct,
    findings,
    keys,
    messages,
    objects,
    reconciling,
    recordings,
    renders,
    reservations,
    shown,
    status,
    upkeep,
    uploads,
)
from sluice_contracts import questions
from sluice_contracts.topology import CATALOG_FINDINGS, CATALOG_OBJECTS
from sluice_runtime.batch_listener import BatchListener
from sluice_runtime.pressure import Courtesy
from sluice_runtime.rpc import Answers


def listen(broker: NatsBroker, deps: Deps) -> tuple[BatchListener, ...]:
    """What is said about objects; many facts take effect in one transaction."""
    take_news = partial(objects.take_news, deps=deps)
    take_findings = partial(findings.take_findings, deps=deps)
    return (
        BatchListener(broker, CATALOG_OBJECTS, take_news),
        # Nobody waits for these: where much is to be done, uploads come first.
        BatchListener(broker, CATALOG_FINDINGS, take_findings, courtesy=Courtesy()),
    )


def bind(broker: NatsBroker, deps: Deps) -> None:
    """Connect every question to its use case."""

    async def plan(question: questions.PlanUploads) -> questions.UploadsPlanned:
        return await uploads.plan_uploads(question, f"rb_{uuid6.uuid7().hex}", deps)

    answers = Answers(broker, "catalog")
    answers.to(questions.ResolveKey, partial(keys.resolve_key, deps=deps))
    answers.to(questions.PlanUploads, plan)
    answers.to(questions.ClaimUploads, partial(uploads.claim_uploads, deps=deps))
    answers.to(questions.RenewClaim, partial(uploads.renew_claim, deps=deps))
    answers.to(questions.ReleaseClaim, partial(uploads.release_claim, deps=deps))
    answers.to(questions.RegisterRecordings, partial(recordings.register_recordings, deps=deps))
    answers.to(questions.GetRecording, partial(recordings.get_recording, deps=deps))
    answers.to(questions.ReportStatus, partial(status.report_status, deps=deps))
    answers.to(questions.GetBatch, partial(batches.get_batch, deps=deps))
    answers.to(questions.ListBatches, partial(batches.list_batches, deps=deps))
    answers.to(questions.ShowBatches, partial(batches.show_batches, deps=deps))
    answers.to(questions.ListRecordings, partial(batches.list_recordings, deps=deps))
    answers.to(questions.ShowRecordings, partial(batches.show_recordings, deps=deps))
    answers.to(questions.DeleteBatch, partial(batches.delete_batch, deps=deps))
    answers.to(questions.ReserveKey, partial(reservations.reserve_key, deps=deps))
    answers.to(questions.FreeKey, partial(reservations.free_key, deps=deps))
    answers.to(questions.AddDevice, partial(devices.add_device, deps=deps))
    answers.to(questions.ListDevices, partial(devices.list_devices, deps=deps))
    answers.to(questions.ChangeDevice, partial(devices.change_device, deps=deps))
    answers.to(questions.GetRender, partial(renders.get_render, deps=deps))
    answers.to(questions.AddMessage, partial(messages.add_message, deps=deps))
    answers.to(questions.GetMessage, partial(messages.get_message, deps=deps))
    answers.to(questions.ListMessages, partial(messages.list_messages, deps=deps))
    answers.to(questions.AttachRender, partial(messages.attach_render, deps=deps))
    answers.to(questions.DeleteMessage, partial(messages.delete_message, deps=deps))
    answers.to(questions.GetChunk, partial(chunks.get_chunk, deps=deps))
    answers.to(questions.ListChunks, partial(chunks.list_chunks, deps=deps))
    answers.to(questions.FindGaps, partial(chunks.find_gaps, deps=deps))
    answers.to(questions.GetCall, partial(calls.get_call, deps=deps))
    answers.to(questions.ListCalls, partial(calls.list_calls, deps=deps))
    answers.to(questions.GetCallHistory, partial(calls.get_call_history, deps=deps))
    answers.to(questions.DeleteCall, partial(calls.delete_call, deps=deps))
    answers.to(questions.PlanDirect, partial(direct.plan_direct, deps=deps))
    answers.to(questions.GetDirect, partial(direct.get_direct, deps=deps))
    answers.to(questions.OpenDirect, partial(direct.open_direct, deps=deps))
    answers.to(questions.ReopenDirect, partial(direct.reopen_direct, deps=deps))
    answers.to(questions.CancelDirect, partial(direct.cancel_direct, deps=deps))
    answers.to(questions.GetTimeline, partial(shown.get_timeline, deps=deps))
    answers.to(questions.GetObject, partial(shown.get_object, deps=deps))
    answers.to(questions.ListOwnedObjects, partial(reconciling.list_owned, deps=deps))
    answers.to(questions.FindOwners, partial(reconciling.find_owners, deps=deps))
    answers.to(questions.CheckDatabase, partial(upkeep.check_database, deps=deps))
    answers.to(questions.ReportMissing, partial(reconciling.report_missing, deps=deps))
