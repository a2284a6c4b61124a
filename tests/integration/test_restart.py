"""A stack that is stopped and started again, on other ports and with the data it had."""

from pathlib import Path
from urllib.parse import urlsplit

from sluice_devkit.stack import Stack
from tests.checks import check_bytes, completed
from tests.support import http_client
from tests.uploading import Client, Ledger

WAV = {"Content-Type": "audio/wav"}


async def test_what_was_begun_before_a_restart_goes_on_after_it(tmp_path: Path) -> None:
    ledger = Ledger()
    async with Stack(tmp_path) as stack, http_client(stack) as http:
        client = Client(http, ledger)
        kept = await client.keep(b"RIFF" * 1000)
        presigned = await client.presign()
        store_before = stack.s3.url
    async with Stack(tmp_path) as stack, http_client(stack) as http:
        assert stack.s3.url != store_before
        url = urlsplit(presigned.items[0].upload_url)
        sent = await http.put(f"{url.path}?{url.query}", content=b"RIFF" * 500, headers=WAV)
        assert sent.status_code == 201, sent.text
        kept += await Client(http, ledger).register(presigned, b"RIFF" * 500)
        await completed(stack, kept)
        await check_bytes(stack, http, kept)
