"""Batches of more recordings than anybody would send in a test."""


def filling(batch_id: str, many: int, at: str = "2026-11-20T12:00:00Z") -> str:
    """SQL that leaves a batch as it would be once so many recordings were registered in it, ten at
    a time."""
    name = batch_id.removeprefix("rb_")
    return f"""
        with batch as (
            insert into batches (batch_id, tenant, status, sequence, created_at, created_by)
            values ('{batch_id}', 'dev', 'completed', 1, '{at}', 'me')
        ), numbered as (
            select n, '{name}' || lpad(cast(n as text), 8, '0') as id
            from generate_series(1, {many}) n
        ), sent as (
            insert into uploads (upload_id, tenant, batch_id, recording_id, filename, content_type,
                bucket, key, status, sequence, created_at, created_by, deadline)
            select 'upl_' || id, 'dev', '{batch_id}', 'rec_' || id, id || '.wav', 'audio/wav',
                'media', 'tenants/dev/' || id, 'registered', 4, '{at}', 'me', '{at}'
            from numbered
        ), stored as (
            insert into objects (key, upload_id, tenant, bucket, size_bytes, sha256, etag,
                content_type, state, stored_at)
            select 'tenants/dev/' || id, 'upl_' || id, 'dev', 'media', 1, repeat('a', 64), 'e',
                'audio/wav', 'stored', '{at}'
            from numbered
        )
        insert into recordings (recording_id, tenant, batch_id, upload_id, client_item_id, data,
            status, sequence, created_at)
        select 'rec_' || id, 'dev', '{batch_id}', 'upl_' || id,
            'the/folder/of/a/recorder/' || id || '.wav', jsonb_build_object('n', n), 'completed', 3,
            cast('{at}' as timestamptz) + interval '1 second' * (n / 10)
        from numbered
    """


def sending(batch_id: str, many: int, at: str = "2026-11-20T12:00:00Z") -> str:
    """SQL that leaves so many direct uploads in a batch; every hundredth is not sent yet."""
    name = batch_id.removeprefix("rb_")
    return f"""
        with numbered as (
            select n, 'direct' || '{name}' || lpad(cast(n as text), 8, '0') as id
            from generate_series(1, {many}) n
        )
        insert into direct_uploads (upload_id, tenant, batch_id, recording_id, filename,
            content_type, bucket, key, metadata, status, sequence, created_at, created_by, deadline)
        select 'upl_' || id, 'dev', '{batch_id}', 'rec_' || id, id || '.wav', 'audio/wav', 'media',
            'tenants/dev/' || id, '{{}}',
            case when n % 100 = 0 then 'created' else 'registered' end, 1, '{at}', 'me', '{at}'
        from numbered
    """
