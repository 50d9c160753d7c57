"""AsyncClient: the client's methods, awaited.

Each call runs on a thread of its own, so that the event loop goes on meanwhile: an answer takes longer than a
change of threads, and there is one client to keep right.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self

from service.client.client import Client

AT_ONCE = 32  # calls; further ones wait
_END = object()


class AsyncClient:
    """Every method of `Client`, to be awaited; those that yield are iterated with `async for`.

        async with AsyncClient() as client:
            await client.create(spec)
            async for event in client.follow("skills"):
                ...

    It takes what `Client` takes.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the client's
        self._client = Client(*arguments, **options)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="evomerge-client")

    @property
    def url(self) -> str:
        """The service's address."""
        return self._client.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets the connections go; streams that are followed end."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a method of the client, made asynchronous."""
        method = getattr(self._client, name, None) if not name.startswith("_") else None
        if not callable(method):
            raise AttributeError(f"a client has no method {name!r}")
        if inspect.isgeneratorfunction(method):
            return partial(self._iterate, method)
        return partial(self._call, method)

    def __dir__(self) -> list[str]:
        """Lists the client's methods, for notebooks."""
        return sorted({*super().__dir__(), *(name for name in dir(Client) if not name.startswith("_"))})

    async def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(method, *arguments, **options))

    async def _iterate(
        self,
        method: Callable[..., Iterator[Any]],
        *arguments: Any,  # noqa: ANN401 - the method's
        **options: Any,  # noqa: ANN401 - the method's
    ) -> AsyncIterator[Any]:
        items = method(*arguments, **options)
        while (item := await self._call(next, items, _END)) is not _END:
            yield item
