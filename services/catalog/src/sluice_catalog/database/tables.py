"""The tables of the catalog."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sluice_runtime.database import inbox_table, outbox_table

metadata = MetaData()
Moment = DateTime(timezone=True)
# Object keys are compared byte by byte, as object stores list them.
KeyText = Text(collation="C")

keys = Table(
    "keys",
    metadata,
    Column("token_sha256", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
)
Index("ix_batches_newest", batches.c.tenant, batches.c.created_at.desc(), batches.c.batch_id.desc())

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("batch_id", Text, nullable=False, index=True),
    Column("recording_id", Text, nullable=False, unique=True),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", KeyText, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("claim_id", Text),
    Column("claimed_until", Moment),
    # Signed by storage for this one object, and good for minutes.
    Column("put_url", Text),
)
Index(
    "ix_uploads_overdue",
    uploads.c.deadline,
    postgresql_where=uploads.c.status.in_(("created", "uploading")),
)

objects = Table(
    "objects",
    metadata,
    Column("key", KeyText, primary_key=True),
    Column("upload_id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("detected_type", Text),
    Column("state", Text, nullable=False),
    Column("stored_at", Moment, nullable=False),
    Column("verified_at", Moment),
)

recordings = Table(
    "recordings",
    metadata,
    Column("recording_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("batch_id", Text, nullable=False, index=True),
    Column("upload_id", Text, nullable=False, unique=True),
    Column("client_item_id", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
)

status_history = Table(
    "status_history",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("batch_id", Text, nullable=False, index=True),
    Column("sequence", Integer, nullable=False),
    Column("previous", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("kind", "id", "sequence", name="uq_status_history_step"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("answer", JSONB, nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

# Uploads whose batch was deleted: bytes that arrive late for one of them are discarded, while
# bytes of an upload nobody ever heard of are a row the catalog lost.
tombstones = Table(
    "tombstones",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("deleted_at", Moment, nullable=False),
)

outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
