"""Devices and chunks, calls, renders and messages, direct uploads, and what inspectors read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _loosen()
    _devices()
    _chunks()
    _calls()
    _renders()
    _direct_uploads()
    _media()


def _loosen() -> None:
    """Not everything that has a status belongs to a batch any more."""
    op.alter_column("status_history", "batch_id", nullable=True)
    op.create_table(
        "reservations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("claimed_until", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", "key"),
    )


def _devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("point_id", sa.Uuid(), nullable=False),
        sa.Column("register_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_seen_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("device_id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index(
        "ix_devices_newest",
        "devices",
        ["tenant", sa.literal_column("created_at DESC"), sa.literal_column("device_id DESC")],
    )


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("point_id", sa.Uuid(), nullable=False),
        sa.Column("register_id", sa.Uuid(), nullable=False),
        sa.Column("start_ts", _MOMENT, nullable=False),
        sa.Column("end_ts", _MOMENT, nullable=False),
        sa.Column("duration_sec", sa.Double(), nullable=False),
        sa.Column("codec", sa.String(32), nullable=False),
        sa.Column("sample_rate", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("file_path", sa.Text(), nullable=False),
        sa.Column("file_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("chunk_id", "start_ts"),
        postgresql_partition_by="RANGE (start_ts)",
    )
    # Months are made ahead by `provision`; a recorder whose clock is far off still gets a row.
    op.execute("create table chunks_elsewhen partition of chunks default")
    op.create_index("ix_chunks_point", "chunks", ["point_id", "start_ts", "chunk_id"])
    op.create_index("ix_chunks_device", "chunks", ["device_id", "start_ts", "chunk_id"])
    op.create_index("ix_chunks_tenant", "chunks", ["tenant", "start_ts", "chunk_id"])


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("company_name", sa.Text(), nullable=False),
        sa.Column("contact_email", sa.Text(), nullable=False),
        sa.Column("call_type", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", _MOMENT, nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
        sa.UniqueConstraint("upload_id"),
    )
    op.create_index(
        "ix_calls_newest",
        "calls",
        ["tenant", sa.literal_column("created_at DESC"), sa.literal_column("call_id DESC")],
    )


def _renders() -> None:
    op.create_table(
        "renders",
        sa.Column("render_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("bitrate", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("attached_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("render_id"),
        sa.UniqueConstraint("upload_id"),
    )
    op.create_index("ix_renders_message_id", "renders", ["message_id"])
    op.create_index(
        "ix_renders_unclaimed",
        "renders",
        ["created_at"],
        postgresql_where=sa.text("message_id is null"),
    )
    op.create_table(
        "messages",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("parent_thread", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("snapshot", JSONB(), nullable=False),
        sa.Column("snapshot_metadata", JSONB(), nullable=True),
        sa.Column("timestamp", _MOMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index(
        "ix_messages_thread", "messages", ["tenant", "parent_thread", "timestamp", "message_id"]
    )
    op.create_index("ix_messages_tenant", "messages", ["tenant", "timestamp", "message_id"])


def _direct_uploads() -> None:
    op.create_table(
        "direct_uploads",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("recording_id", sa.Text(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("part_size", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("metadata", JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("deadline", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("upload_id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(op.f("ix_direct_uploads_batch_id"), "direct_uploads", ["batch_id"])
    op.create_index(
        "ix_direct_uploads_overdue",
        "direct_uploads",
        ["deadline"],
        postgresql_where=sa.text("status IN ('created', 'uploading')"),
    )


def _media() -> None:
    op.create_table(
        "media",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("readable", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("container", sa.Text(), nullable=True),
        sa.Column("codec", sa.Text(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("sample_rate", sa.Integer(), nullable=True),
        sa.Column("channels", sa.Integer(), nullable=True),
        sa.Column("has_video", sa.Boolean(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.Column("inspected_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("upload_id"),
    )
