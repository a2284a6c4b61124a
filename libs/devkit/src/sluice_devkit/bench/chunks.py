"""The chunks door: small forms of many recorders, and lists of very many chunks."""

import base64
import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import aiohttp
import psycopg

from sluice_devkit.assets import SAMPLE_RATE
from sluice_devkit.bench.figures import SMALL, Figure, at, rate
from sluice_devkit.bench.forms import CLOSING, CONTENT_TYPE, opening
from sluice_devkit.bench.recordings import against
from sluice_devkit.bench.roads import Direct, settle
from sluice_devkit.credentials import ADMINISTRATOR_KEY
from sluice_devkit.stack import Stack

_DEVICES = 16
# A million chunks of ten seconds are four months: the partitions of that time are there.
_FIRST = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
_PAGE = 100
_WARM_UP = 30
_STEP = timedelta(seconds=10)

_ROWS = """
    insert into chunks select
        ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'dev',
        'upl_bench' || lpad(to_hex(n), 12, '0'), %(device)s, %(point)s, %(register)s,
        %(first)s::timestamptz + n * interval '10 s',
        %(first)s::timestamptz + (n + 1) * interval '10 s',
        10, 'opus', 48000, 1, 'bench/' || n, 65536, 'QUEUED', 2, now()
    from generate_series(0, %(count)s - 1) as n
"""
_OBJECTS = """
    insert into objects (key, upload_id, tenant, bucket, size_bytes, sha256, etag, content_type,
        state, stored_at)
    select 'bench/' || n, 'upl_bench' || lpad(to_hex(n), 12, '0'), 'dev', 'sluice', 65536,
        repeat('0', 64), '', 'audio/ogg', 'stored', now()
    from generate_series(0, %(count)s - 1) as n
"""


class Chunks:
    """Recorders that send, and somebody who looks."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, direct: Direct) -> None:
        self._stack = stack
        self._http = http
        self._direct = direct
        self._devices: list[dict[str, str]] = []
        self._sent = 0

    async def add_devices(self) -> None:
        for _ in range(_DEVICES):
            names = ("device_id", "point_id", "register_id")
            device = {name: str(uuid4()) for name in names} | {"token_plain": secrets.token_hex(16)}
            async with self._http.post(
                f"{self._stack.url}/api/v1/admin/devices",
                json=device,
                headers={"Authorization": f"Bearer {ADMINISTRATOR_KEY}"},
            ) as response:
                response.raise_for_status()
            self._devices.append(device)

    async def small(self, count: int, rounds: int) -> Figure:
        """Chunks of 64 KiB by form from 16 clients, and direct PUTs, in turns."""
        direct: list[float] = []
        sent: list[float] = []
        await rate(64, self._send)
        for _ in range(rounds):
            await settle(self._stack)
            direct.append(await rate(count, self._direct.puts(self._direct.urls(count), SMALL)))
            await settle(self._stack)
            sent.append(await rate(count, self._send))
        return against("64 KiB chunks by form, 16 clients, against direct PUTs", sent, direct)

    async def _send(self) -> None:
        # Each recorder sends one chunk after the other, as long as the step between them.
        device = self._devices[self._sent % _DEVICES]
        start = _FIRST + _STEP * (self._sent // _DEVICES)
        self._sent += 1
        fields = {name: device[name] for name in device if name != "token_plain"} | {
            "start_ts": start.isoformat(),
            "end_ts": (start + _STEP).isoformat(),
            "codec": "pcm_s16le",
            "sample_rate": str(SAMPLE_RATE),
            "channels": "1",
        }
        async with self._http.post(
            f"{self._stack.url}/api/v1/chunks",
            data=opening(fields, "chunk_file") + SMALL + CLOSING,
            headers={
                "Authorization": f"Bearer {device['token_plain']}",
                "Content-Type": CONTENT_TYPE,
            },
        ) as response:
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"a chunk was answered {response.status}")

    async def lists(self, rows: int, looks: int) -> list[Figure]:
        """Pages by point and time out of very many rows: the first, and one far behind."""
        point = uuid4()
        await self._fill(point, rows)
        await settle(self._stack)
        milliseconds: dict[str, list[float]] = {"1": [], "10,000": []}
        far = max(0, rows - min(10_000, rows // _PAGE - 1) * _PAGE)
        for _ in range(_WARM_UP):
            await self._look(point, None)
            await self._look(point, _cursor(far))
        for _ in range(looks):
            for page, cursor in (("1", None), ("10,000", _cursor(far))):
                milliseconds[page].append(await self._look(point, cursor))
        first, behind = (at(sorted(found), 0.99) for found in milliseconds.values())
        apart = max(first, behind) / min(first, behind)
        note = f"{rows:,} rows, {_PAGE} a page, {looks} looks each"
        return [
            Figure("chunks by point and time, page 1, p99", first, "ms", at_most=20, note=note),
            Figure("the same, page 10,000, p99", behind, "ms", at_most=20),
            Figure("the two against each other", apart, "", at_most=1.5),
        ]

    async def _fill(self, point: UUID, rows: int) -> None:
        values = {
            "device": uuid4(),
            "point": point,
            "register": uuid4(),
            "first": _FIRST,
            "count": rows,
        }
        connection = await psycopg.AsyncConnection.connect(
            self._stack.database_url("catalog"), autocommit=True
        )
        async with connection:
            for statement in (_ROWS, _OBJECTS):
                await connection.execute(statement, values)
            await connection.execute("analyze chunks, objects")

    async def _look(self, point: UUID, cursor: str | None) -> float:
        parameters = {"point_id": str(point), "limit": str(_PAGE)}
        if cursor is not None:
            parameters["cursor"] = cursor
        began = time.perf_counter()
        async with self._http.get(
            f"{self._stack.url}/api/v1/chunks",
            params=parameters,
            headers={"X-API-Key": self._stack.key},
        ) as response:
            found = await response.json()
            if response.status != 200 or not found["items"]:
                raise RuntimeError(f"a list was answered {response.status}")
        return (time.perf_counter() - began) * 1000


def _cursor(number: int) -> str:
    """The cursor that follows the chunk of this number, in the form the gateway gives them out."""
    place = {
        "created_at": (_FIRST + _STEP * number).isoformat(),
        "id": f"00000000-0000-7000-8000-{number:012x}",
    }
    return base64.urlsafe_b64encode(json.dumps(place).encode()).rstrip(b"=").decode()
