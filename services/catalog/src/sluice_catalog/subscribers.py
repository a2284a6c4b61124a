"""What the catalog listens to: facts about objects, and questions."""

from functools import partial

import uuid6
from faststream.nats import NatsBroker

from sluice_catalog.ports import Deps
from sluice_catalog.usecases import batches, keys, objects, recordings, upkeep, uploads
from sluice_contracts import facts, questions
from sluice_contracts.topology import CATALOG_OBJECTS
from sluice_runtime.facts import Listener
from sluice_runtime.rpc import Answers


def bind(broker: NatsBroker, deps: Deps) -> None:
    """Connect every subject to its use case."""
    news = Listener(broker, CATALOG_OBJECTS)
    news.on(facts.ObjectStored, partial(objects.take_stored, deps=deps))
    news.on(facts.ObjectRejected, partial(objects.take_rejected, deps=deps))
    news.on(facts.ObjectCheckStarted, partial(objects.take_check_started, deps=deps))
    news.on(facts.ObjectVerified, partial(objects.take_verified, deps=deps))
    news.on(facts.ObjectDamaged, partial(objects.take_damaged, deps=deps))
    news.on(facts.ObjectDeleted, partial(objects.take_deleted, deps=deps))

    async def plan(question: questions.PlanUploads) -> questions.UploadsPlanned:
        return await uploads.plan_uploads(question, f"rb_{uuid6.uuid7().hex}", deps)

    answers = Answers(broker, "catalog")
    answers.to(questions.ResolveKey, partial(keys.resolve_key, deps=deps))
    answers.to(questions.PlanUploads, plan)
    answers.to(questions.ClaimUpload, partial(uploads.claim_upload, deps=deps))
    answers.to(questions.RenewClaim, partial(uploads.renew_claim, deps=deps))
    answers.to(questions.ReleaseClaim, partial(uploads.release_claim, deps=deps))
    answers.to(questions.RegisterRecordings, partial(recordings.register_recordings, deps=deps))
    answers.to(questions.GetRecording, partial(recordings.get_recording, deps=deps))
    answers.to(questions.ReportStatus, partial(recordings.report_status, deps=deps))
    answers.to(questions.GetBatch, partial(batches.get_batch, deps=deps))
    answers.to(questions.ListBatches, partial(batches.list_batches, deps=deps))
    answers.to(questions.ShowBatches, partial(batches.show_batches, deps=deps))
    answers.to(questions.DeleteBatch, partial(batches.delete_batch, deps=deps))
    answers.to(questions.ListOwnedObjects, partial(objects.list_owned, deps=deps))
    answers.to(questions.FindOwners, partial(objects.find_owners, deps=deps))
    answers.to(questions.CheckDatabase, partial(upkeep.check_database, deps=deps))
    answers.to(questions.ReportMissing, partial(objects.report_missing, deps=deps))
