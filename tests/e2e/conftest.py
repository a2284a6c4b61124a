"""A tenant of its own for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from sluice_devkit.stack import Stack

from .api import Account, account


@pytest_asyncio.fixture(loop_scope="session")
async def caller(stack: Stack) -> AsyncIterator[Account]:
    """Somebody with all rights and no history."""
    async with account(stack) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(stack: Stack) -> AsyncIterator[Account]:
    """Somebody else, with all rights in another tenant."""
    async with account(stack) as one:
        yield one
