"""What storage listens to: facts that ask for work on objects, and questions."""

from functools import partial

from faststream.nats import NatsBroker

from sluice_contracts.facts import ObjectDiscarded
from sluice_contracts.questions import (
    AbandonUpload,
    BeginUpload,
    CheckStore,
    LinkObject,
    ListFoundObjects,
    PlaceRecordings,
    PlaceUploads,
    RemoveObject,
    RestateObject,
    SignParts,
)
from sluice_contracts.topology import STORAGE_CHECKS, STORAGE_DELETIONS, STORAGE_UPLOADS
from sluice_runtime.batch_listener import BatchListener
from sluice_runtime.facts import Listener
from sluice_runtime.rpc import Answers
from sluice_storage.ports import Deps
from sluice_storage.usecases import objects, upkeep, uploads

_ROUNDS = 8


def listen(broker: NatsBroker, deps: Deps) -> tuple[BatchListener, ...]:
    """Uploads whose bytes have come, and recordings to be proven; side by side in each batch."""
    finish = partial(uploads.finish_uploads, deps=deps)
    check = partial(objects.check_recordings, deps=deps)
    return (
        BatchListener(broker, STORAGE_UPLOADS, finish, rounds=_ROUNDS),
        BatchListener(broker, STORAGE_CHECKS, check, rounds=_ROUNDS),
    )


def bind(broker: NatsBroker, deps: Deps) -> None:
    """Connect every subject to its use case."""
    deletions = Listener(broker, STORAGE_DELETIONS)
    deletions.on(ObjectDiscarded, partial(objects.delete_object, deps=deps))

    answers = Answers(broker, "storage")
    answers.to(PlaceRecordings, partial(uploads.place_recordings, deps=deps))
    answers.to(PlaceUploads, partial(uploads.place_uploads, deps=deps))
    answers.to(BeginUpload, partial(uploads.begin_upload, deps=deps))
    answers.to(SignParts, partial(uploads.sign_parts, deps=deps))
    answers.to(AbandonUpload, partial(uploads.abandon_upload, deps=deps))
    answers.to(LinkObject, partial(objects.link_object, deps=deps))
    answers.to(ListFoundObjects, partial(upkeep.list_found, deps=deps))
    answers.to(RestateObject, partial(upkeep.restate_object, deps=deps))
    answers.to(CheckStore, partial(upkeep.check_store, deps=deps))
    answers.to(RemoveObject, partial(upkeep.remove_object, deps=deps))
