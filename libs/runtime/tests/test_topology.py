"""Streams and consumers as the server is told of them."""

import pytest
from nats.js.api import AckPolicy, RetentionPolicy, StorageType

from sluice_contracts.tasks import TASKS as TASK_TYPES
from sluice_contracts.topology import CONSUMERS, STREAMS, TASKS, Consumer, Stream
from sluice_runtime.topology import consumer_config, stream_config

QUEUES = [one for one in STREAMS if one.work_queue]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda one: one.name)
def test_a_stream_keeps_what_it_holds_unless_it_is_a_work_queue(stream: Stream) -> None:
    config = stream_config(stream, replicas=3)
    assert (config.name, config.subjects) == (stream.name, list(stream.subjects))
    expected = RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS
    assert config.retention is expected
    assert config.storage is StorageType.FILE
    assert config.num_replicas == 3
    assert config.max_age == stream.max_age.total_seconds()
    assert config.max_bytes == stream.max_bytes


def test_tasks_alone_are_a_work_queue() -> None:
    assert QUEUES == [TASKS]


@pytest.mark.parametrize("stream", QUEUES, ids=lambda one: one.name)
def test_no_two_consumers_of_a_work_queue_share_a_subject(stream: Stream) -> None:
    """The server would refuse the second one."""
    subjects = [subject for one in CONSUMERS if one.stream is stream for subject in one.subjects()]
    assert len(set(subjects)) == len(subjects)
    assert not [
        (one, other)
        for one in subjects
        for other in subjects
        if one != other and other.startswith(one.removesuffix(">"))
    ]


def test_every_kind_of_task_has_somebody_who_may_take_it() -> None:
    taken = {subject for one in CONSUMERS if one.stream is TASKS for subject in one.subjects()}
    assert taken == {task.pattern() for task in TASK_TYPES}


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda one: one.name)
def test_a_consumer_is_durable_and_acknowledges_each_message(consumer: Consumer) -> None:
    config = consumer_config(consumer)
    assert config.durable_name == consumer.name
    assert config.ack_policy is AckPolicy.EXPLICIT
    assert config.ack_wait == consumer.ack_wait.total_seconds()
    assert config.filter_subjects == list(consumer.subjects())
    assert config.filter_subjects
