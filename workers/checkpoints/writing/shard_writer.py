"""Writes a checkpoint's safetensors files piece by piece, on its own thread, and hashes tensors meanwhile.

Every byte is hashed once, as a part of its tensor: a second hash, of the whole file, would take longer than
the disk does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from workers.checkpoints.writing.merge_journal import MergeJournal, Written
from workers.checkpoints.writing.shards import Shard, StoredTensor
from workers.errors import MergeError
from workers.protocol.messages import Progress

FLUSHED_AT = 64 * 2**20  # bytes written from which on they are brought to the disk
QUEUED = 32 * 2**20  # bytes that may wait for the disk, or one piece of any size
_MISTAKE = "report this as a mistake of evomerge"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a tensor's rows, or all of it; `dtype` as safetensors writes it."""

    tensor: str
    shape: tuple[int, ...]
    dtype: str
    content: memoryview


class ShardWriter:
    """Writes the announced tensors in order; those that an earlier process wrote are left out.

    `put` takes pieces in the calling thread; a second thread writes and hashes them, and tells the
    progress and every complete file.  As a context it ends that thread, whatever happened.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[Shard],
        journal: MergeJournal,
        written: Written,
        progress: Progress,
        queued: int = QUEUED,
        *,
        finished: Callable[[Path], None] | None = None,
    ) -> None:
        self._finished = finished
        self._folder, self._journal, self._progress = folder, journal, progress
        self._places = [(shard, stored) for shard in shards for stored in shard.tensors]
        self._written, self._queued = written, queued
        self.bytes = sum(stored.bytes for _, stored in self._places[: written.tensors])  # of whole tensors
        self._next, self._filled = written.tensors, 0  # what `put` takes next
        self._queue: deque[Piece | None] = deque()
        self._under_way = 0  # bytes taken and not yet written
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="evomerge-writer", daemon=True)
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="evomerge-flusher")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="evomerge-hasher")
        self._begun = hashlib.sha256()  # of the tensor under way
        self._flush: Future[None] = Future()
        self._flush.set_result(None)
        self._unflushed = 0

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the content of every complete tensor, by name."""
        return self._written.digests

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            if kind is not None:  # what waits is not worth writing
                self._queue.clear()
            self._queue.append(None)
            self._changed.notify_all()
        self._thread.join()
        self._flusher.shutdown()
        self._hasher.shutdown()

    def put(self, piece: Piece) -> None:
        """Takes the next rows; waits while too much is under way.

        Raises:
            MergeError: They are not what was announced.
            OSError: What was taken before could not be written.
        """
        self._check(piece)
        size = len(piece.content)
        self._wait_until(lambda: self._under_way == 0 or self._under_way + size <= self._queued)
        with self._changed:
            self._queue.append(piece)
            self._under_way += size
            self._changed.notify_all()

    def finish(self) -> None:
        """Waits until everything is written.

        Raises:
            MergeError: Tensors are missing.
            OSError: Something could not be written.
        """
        if self._next < len(self._places):
            raise MergeError(self._places[self._next][1].name, "was announced and did not come", _MISTAKE)
        self._wait_until(lambda: self._written.tensors == len(self._places))

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or reached())
            if self._error is not None:
                raise self._error

    def _check(self, piece: Piece) -> None:
        if self._next == len(self._places):
            raise MergeError(piece.tensor, "was not announced", _MISTAKE)
        stored = self._places[self._next][1]
        whole = piece.shape == stored.shape and self._filled == 0
        rows = len(piece.shape) > 0 and piece.shape[1:] == stored.shape[1:] and len(piece.content) > 0
        fits = rows and self._filled + len(piece.content) <= stored.bytes
        if (piece.tensor, piece.dtype) != (stored.name, stored.dtype) or not (whole or fits):
            raise MergeError(
                stored.name,
                f"announced with shape {list(stored.shape)} as {stored.dtype}, got {piece.tensor} with shape "
                f"{list(piece.shape)} as {piece.dtype}",
                _MISTAKE,
            )
        self._filled += len(piece.content)
        if self._filled == stored.bytes:
            self._next, self._filled = self._next + 1, 0

    def _work(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that calls
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _write_all(self) -> None:
        file: BinaryIO | None = None
        filled = 0
        try:
            while (piece := self._take()) is not None:
                shard, stored = self._places[self._written.tensors]
                if file is None:
                    file = self._open(shard)
                size = len(piece.content)
                hashed = self._hasher.submit(self._begun.update, piece.content)
                _write(file, piece.content)
                self._flush_early(file, size)
                hashed.result()
                del piece, hashed  # its memory is free for the next one
                filled += size
                if filled == stored.bytes:
                    filled = 0
                    if self._complete(shard, stored):
                        file.close()
                        file = None
                with self._changed:
                    self._under_way -= size
                    self._changed.notify_all()
        finally:
            if file is not None:
                file.close()

    def _flush_early(self, file: BinaryIO, size: int) -> None:
        """Has another thread bring to the disk what was written, so that in the end little is left to."""
        self._unflushed += size
        if self._unflushed < FLUSHED_AT or not self._flush.done():
            return
        self._await_flush()
        self._unflushed = 0
        self._flush = self._flusher.submit(_bring_to_disk, os.dup(file.fileno()))

    def _await_flush(self) -> None:
        """Waits for that thread; a disk reports an error once, so that it must be raised here."""
        self._flush.result()

    def _take(self) -> Piece | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue))
            return self._queue.popleft()

    def _open(self, shard: Shard) -> BinaryIO:
        """Opens the file that the next tensor goes into: a new one, or one that was begun."""
        file = (self._folder / shard.name).open("ab", buffering=0)
        if not self._written.length:
            _write(file, memoryview(shard.header()))
        return file

    def _complete(self, shard: Shard, stored: StoredTensor) -> bool:
        """Notes that a tensor is on the disk; says whether its file is complete."""
        digest = self._begun.hexdigest()
        self._journal.note(digest)
        self._begun = hashlib.sha256()
        ended = stored is shard.tensors[-1]
        if ended:
            self._await_flush()
            self._written.length = 0  # of the next file
            if self._finished is not None:
                self._finished(self._folder / shard.name)
        self.bytes += stored.bytes
        self._written.digests[stored.name] = digest  # the last step: `finish` waits for it
        self._progress(self._written.tensors, self.bytes)
        return ended


def _write(file: BinaryIO, content: memoryview) -> None:
    """Writes all of it; the system takes at most two gigabytes at once."""
    while content:
        content = content[file.write(content) :]


def _bring_to_disk(descriptor: int) -> None:
    """Waits until what was written to a file so far is on the disk, and closes this handle of it."""
    try:
        getattr(os, "fdatasync", os.fsync)(descriptor)
    finally:
        os.close(descriptor)
