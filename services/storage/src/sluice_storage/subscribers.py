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
    PlaceDirect,
    PlaceRecordings,
    PlaceUploads,
    RemoveObject,
    RestateObject,
    ShowDirect,
    SignDirect,
    SignParts,
)
from sluice_contracts.topology import (
    STORAGE_CHECKS,
    STORAGE_DELETIONS,
    STORAGE_REGISTRATIONS,
    STORAGE_SEALS,
    STORAGE_UPLOADS,
)
from sluice_runtime.batch_listener import BatchListener
from sluice_runtime.facts import Listener
from sluice_runtime.pressure import Courtesy
from sluice_runtime.rpc import Answers
from sluice_storage.ports import Deps
from sluice_storage.usecases import direct, objects, registrations, upkeep, uploads

_ROUNDS = 8
# Each of them may hold a thread for as long as it takes to read several GiB.
_SEAL_ROUNDS = 2


def listen(broker: NatsBroker, deps: Deps) -> tuple[BatchListener, ...]:
    """Uploads whose bytes have come, what is to be kept beside them, and recordings to be proven;
    side by side in each batch."""
    finish = partial(uploads.finish_uploads, deps=deps)
    seal = partial(direct.seal_uploads, deps=deps)
    keep = partial(registrations.keep_registrations, deps=deps)
    check = partial(objects.check_recordings, deps=deps)
    return (
        BatchListener(broker, STORAGE_UPLOADS, finish, rounds=_ROUNDS),
        BatchListener(broker, STORAGE_SEALS, seal, rounds=_SEAL_ROUNDS),
        # Nobody waits for these: where much is to be done, uploads come first.
        BatchListener(broker, STORAGE_REGISTRATIONS, keep, courtesy=Courtesy()),
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
    answers.to(PlaceDirect, partial(direct.place_direct, deps=deps))
    answers.to(SignDirect, partial(direct.sign_direct, deps=deps))
    answers.to(ShowDirect, partial(direct.show_direct, deps=deps))
    answers.to(LinkObject, partial(objects.link_object, deps=deps))
    answers.to(ListFoundObjects, partial(upkeep.list_found, deps=deps))
    answers.to(RestateObject, partial(upkeep.restate_object, deps=deps))
    answers.to(CheckStore, partial(upkeep.check_store, deps=deps))
    answers.to(RemoveObject, partial(upkeep.remove_object, deps=deps))
