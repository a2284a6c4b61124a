"""Subjects: what may stand in them, and who says and reads what."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.base import token
from sluice_contracts.facts import FACTS, Fact, ObjectDeleted, ObjectStored, StatusChanged
from sluice_contracts.questions import QUESTIONS
from sluice_contracts.topology import (
    CONSUMERS,
    DEAD_LETTERS,
    PUBLISHERS,
    STREAMS,
    Consumer,
    dead_letter_subject,
    live_subject,
    reply_subject,
)

WORDS = st.text(st.sampled_from("abcz019_-"), min_size=1, max_size=64)
SUBJECT = re.compile(r"[A-Za-z0-9_$-]+(\.([A-Za-z0-9_-]+|\*))*(\.>)?")


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS pattern takes a subject."""
    wanted, given_ = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given_ = wanted[:-1], given_[: len(wanted) - 1]
    return len(wanted) == len(given_) and all(
        one in ("*", other) for one, other in zip(wanted, given_, strict=True)
    )


@given(WORDS)
def test_a_token_stays_as_it_is(word: str) -> None:
    assert token(word) == word


@pytest.mark.parametrize(
    "word", ["", "a.b", "*", ">", "a b", "A", "ä", "a" * 65, "a\n", "a\x00", None]
)
def test_what_would_change_a_subject_is_refused(word: object) -> None:
    with pytest.raises(ValueError, match="subject token"):
        token(word)


@given(WORDS, st.text(st.sampled_from("abcz019"), min_size=8, max_size=40))
def test_the_subject_of_a_fact_matches_its_pattern(tenant: str, id_: str) -> None:
    fact = ObjectDeleted(tenant=tenant, upload_id=f"upl_{id_}", key="k")
    assert matches(fact.pattern(), fact.subject())
    assert fact.subject() == f"sluice.v1.{tenant}.object.deleted.upl_{id_}"


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_has_one_publisher_but_for_what_the_sender_may_vouch_for(fact: type[Fact]) -> None:
    publishers = {service for service, said in PUBLISHERS.items() if fact in said}
    if fact is ObjectStored:
        assert publishers == {"gateway", "storage"}
    else:
        assert len(publishers) == 1


def test_every_fact_but_the_last_news_is_read_by_somebody() -> None:
    read = {fact for consumer in CONSUMERS for fact in consumer.reads}
    assert set(FACTS) - read == {StatusChanged}  # the notifier reads these in order, by itself


def test_type_names_are_unique() -> None:
    assert len({fact.type_name() for fact in FACTS}) == len(FACTS)


def test_no_two_facts_share_a_subject() -> None:
    plain = [fact for fact in FACTS if fact is not StatusChanged]
    assert len({fact.pattern() for fact in plain}) == len(plain)
    assert all(fact.EVENT != StatusChanged.EVENT for fact in plain)


def test_every_question_has_its_own_subject() -> None:
    subjects = {question.subject() for question in QUESTIONS}
    assert len(subjects) == len(QUESTIONS)
    assert all(re.fullmatch(r"sluice\.rpc\.v1(\.[a-z]+){3}", subject) for subject in subjects)


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda one: one.name)
def test_a_consumer_reads_from_a_stream_that_holds_its_subjects(consumer: Consumer) -> None:
    assert consumer.stream in STREAMS
    for subject in consumer.subjects():
        assert any(matches(held, subject) for held in consumer.stream.subjects)
    assert re.fullmatch(r"[a-z0-9-]+", consumer.name)


def test_consumers_have_their_own_names() -> None:
    assert len({one.name for one in CONSUMERS}) == len(CONSUMERS)


def test_dead_letters_land_in_their_stream() -> None:
    for consumer in CONSUMERS:
        subject = dead_letter_subject(consumer.stream.name, consumer.name)
        assert any(matches(held, subject) for held in DEAD_LETTERS.subjects)


def test_no_stream_keeps_questions_or_hints() -> None:
    spoken = [question.subject() for question in QUESTIONS]
    spoken += [reply_subject("i", "upl_1"), live_subject("dev", "batch", "rb_1")]
    for stream in STREAMS:
        assert not any(matches(held, subject) for held in stream.subjects for subject in spoken)


def test_facts_outlive_the_window_in_which_repeats_are_dropped() -> None:
    assert all(stream.max_age > stream.duplicate_window for stream in STREAMS)
