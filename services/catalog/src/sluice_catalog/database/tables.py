"""The tables of the catalog."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    literal,
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
# Written out, not passed: a prepared plan uses a partial index whose condition it can read.
_OPEN = [literal(status, literal_execute=True) for status in ("created", "uploading")]
UPLOAD_IS_OPEN = uploads.c.status.in_(_OPEN)
Index("ix_uploads_overdue", uploads.c.deadline, postgresql_where=UPLOAD_IS_OPEN)

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
    Column("batch_id", Text, index=True),
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

# Requests with an idempotency key that are under way; `idempotency` keeps those that have ended.
reservations = Table(
    "reservations",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("claim_id", Text, nullable=False),
    Column("claimed_until", Moment, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("point_id", Uuid, nullable=False),
    Column("register_id", Uuid, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_seen_at", Moment),
)
Index(
    "ix_devices_newest", devices.c.tenant, devices.c.created_at.desc(), devices.c.device_id.desc()
)

# One partition a month of `start_ts`, made ahead by `provision`; the default one takes the rest.
chunks = Table(
    "chunks",
    metadata,
    Column("chunk_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("upload_id", Text, nullable=False),
    Column("device_id", Uuid, nullable=False),
    Column("point_id", Uuid, nullable=False),
    Column("register_id", Uuid, nullable=False),
    Column("start_ts", Moment, primary_key=True),
    Column("end_ts", Moment, nullable=False),
    Column("duration_sec", Double, nullable=False),
    Column("codec", String(32), nullable=False),
    Column("sample_rate", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("file_path", Text, nullable=False),
    Column("file_size_bytes", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    postgresql_partition_by="RANGE (start_ts)",
)
Index("ix_chunks_point", chunks.c.point_id, chunks.c.start_ts, chunks.c.chunk_id)
Index("ix_chunks_device", chunks.c.device_id, chunks.c.start_ts, chunks.c.chunk_id)
Index("ix_chunks_tenant", chunks.c.tenant, chunks.c.start_ts, chunks.c.chunk_id)

calls = Table(
    "calls",
    metadata,
    Column("call_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("upload_id", Text, nullable=False, unique=True),
    Column("filename", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("company_name", Text, nullable=False),
    Column("contact_email", Text, nullable=False),
    Column("call_type", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("uploaded_at", Moment, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ix_calls_newest", calls.c.tenant, calls.c.created_at.desc(), calls.c.call_id.desc())

renders = Table(
    "renders",
    metadata,
    Column("render_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("upload_id", Text, nullable=False, unique=True),
    Column("message_id", Text, index=True),
    Column("filename", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("bitrate", Integer),
    Column("duration", Double),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("attached_at", Moment),
)
Index("ix_renders_unclaimed", renders.c.created_at, postgresql_where=renders.c.message_id.is_(None))

messages = Table(
    "messages",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("parent_thread", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("snapshot", JSONB, nullable=False),
    Column("snapshot_metadata", JSONB),
    Column("timestamp", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index(
    "ix_messages_thread",
    messages.c.tenant,
    messages.c.parent_thread,
    messages.c.timestamp,
    messages.c.message_id,
)

Index("ix_messages_tenant", messages.c.tenant, messages.c.timestamp, messages.c.message_id)

# Uploads whose bytes their clients send to the store themselves: `session_id` when in parts, and
# what was promised of them.
direct_uploads = Table(
    "direct_uploads",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("batch_id", Text, index=True),
    Column("recording_id", Text),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", KeyText, nullable=False, unique=True),
    Column("session_id", Text),
    Column("part_size", BigInteger),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("metadata", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("deadline", Moment, nullable=False),
)
DIRECT_IS_OPEN = direct_uploads.c.status.in_(_OPEN)
Index("ix_direct_uploads_overdue", direct_uploads.c.deadline, postgresql_where=DIRECT_IS_OPEN)

# What an inspector read from the bytes of an upload.
media = Table(
    "media",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("readable", Boolean, nullable=False),
    Column("reason", Text),
    Column("container", Text),
    Column("codec", Text),
    Column("duration_seconds", Double),
    Column("sample_rate", Integer),
    Column("channels", Integer),
    Column("has_video", Boolean, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    # A byte for each peak.
    Column("peaks", LargeBinary, nullable=False),
    Column("inspected_at", Moment, nullable=False),
)

outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
