"""What the inspector found: kept once, whenever it comes."""

from sluice_catalog.usecases.chunks import get_chunk
from sluice_catalog.usecases.findings import take_findings
from sluice_contracts.facts import MediaFacts, ObjectDeleted, ObjectInspected
from sluice_contracts.questions import GetChunk

from .chunk_news import NOW, chunk_id, event, hear, stored, upload_id, with_chunks
from .fakes import FakeWorld


def found(seconds: float) -> ObjectInspected:
    read = MediaFacts(duration_seconds=seconds)
    return ObjectInspected(
        tenant="dev", upload_id=upload_id(), readable=True, media=read, inspected_at=NOW
    )


async def length_of(world: FakeWorld) -> tuple[float, float | None]:
    """The length of the first chunk as its recorder told it, and as it was found."""
    view = await get_chunk(GetChunk(tenant="dev", chunk_id=chunk_id()), world.deps())
    return view.duration_sec, view.true_duration_seconds


async def test_what_was_read_from_a_chunk_is_shown() -> None:
    world = await with_chunks(1)
    await take_findings([event(found(59.5))], world.deps())
    assert await length_of(world) == (60, 59.5)


async def test_it_may_come_before_its_chunk() -> None:
    world = await with_chunks()
    await take_findings([event(found(59.5))], world.deps())
    await hear(world, stored())
    assert await length_of(world) == (60, 59.5)


async def test_the_later_of_two_looks_counts_and_a_repeat_of_the_first_does_not() -> None:
    world = await with_chunks(1)
    first, second = event(found(1.0), "first"), event(found(2.0), "second")
    await take_findings([first, second], world.deps())
    await take_findings([first], world.deps())
    assert await length_of(world) == (60, 2.0)


async def test_nothing_is_kept_of_what_was_deleted() -> None:
    world = FakeWorld()
    world.tables.buried.add(upload_id())
    await take_findings([event(found(1.0))], world.deps())
    assert not world.tables.media


async def test_what_was_read_from_an_object_goes_with_it() -> None:
    world = FakeWorld()
    await take_findings([event(found(1.0))], world.deps())
    await hear(world, ObjectDeleted(tenant="dev", upload_id=upload_id(), key="audio/1.ogg"))
    assert not world.tables.media


async def test_a_second_object_of_a_chunk_takes_nothing_along() -> None:
    world = await with_chunks(1)
    await take_findings([event(found(59.5))], world.deps())
    await hear(world, ObjectDeleted(tenant="dev", upload_id=upload_id(), key="audio/1.wav"))
    assert await length_of(world) == (60, 59.5)
