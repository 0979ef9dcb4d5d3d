"""The device side of adb, as far as deploy meets it: a daemon on a TCP port that a real adb server connects to.

The transport protocol (``protocol.txt``), shell protocol v2 (``shell_v2``) and sync protocol (``SYNC.TXT``) are those
of the Android Open Source Project. Commands run on this machine with ``bin`` first on PATH, where tests put stand-ins.
"""

import asyncio
import contextlib
import os
import signal
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = struct.Struct("<4s5I")
_VERSION, _MOST = 0x01000001, 256 * 1024
_DATA = 64 * 1024
_IN, _OUT, _ERR, _EXIT, _CLOSE_IN = range(5)


@dataclass
class Faults:
    """What goes wrong, and how often; 0 is never."""

    features: str = "shell_v2,cmd,stat_v2,fixed_push_mkdir"
    unauthorized: bool = False
    silent: bool = False
    """Takes connections and never answers, as a phone that hangs."""
    cut_pushes: int = 0
    """Pushes that end after the first data with a lost connection."""
    cut_pulls: int = 0
    cut_shells: list[str] = field(default_factory=list)
    """A shell command that holds one of these words is cut off after its first output; each once."""
    full: bool = False
    changed_pushes: int = 0
    """Pushes of which one byte arrives changed."""


class Stream:
    """One stream of the transport: what the host sent, and writes that wait for their acknowledgement."""

    def __init__(self, device: "Connection", local: int, remote: int) -> None:
        self._device = device
        self.local, self.remote = local, remote
        self._buffer = bytearray()
        self._arrived = asyncio.Condition()
        self.acknowledged = asyncio.Event()
        self.closed = False

    async def feed(self, data: bytes) -> None:
        async with self._arrived:
            self._buffer += data
            self._arrived.notify_all()

    async def close(self) -> None:
        async with self._arrived:
            self.closed = True
            self.acknowledged.set()
            self._arrived.notify_all()

    async def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or EOFError."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self._buffer) >= size or self.closed)
            if len(self._buffer) < size:
                raise EOFError
            taken = bytes(self._buffer[:size])
            del self._buffer[:size]
            return taken

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), self._device.most):
            self.acknowledged.clear()
            await self._device.send(b"WRTE", self.local, self.remote, data[start : start + self._device.most])
            await self.acknowledged.wait()
            if self.closed:
                raise EOFError


class Connection:
    """One host that connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults, path: str) -> None:
        self._reader, self._writer, self.faults, self._path = reader, writer, faults, path
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.most = _MOST

    async def serve(self) -> None:
        try:
            async for command, first, second, data in self._messages():
                await self._message(command, first, second, data)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for stream in self._streams.values():
                await stream.close()
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    async def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        self._writer.write(_HEADER.pack(command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic) + data)
        await self._writer.drain()

    def cut(self) -> None:
        """Lose the connection, as if the cable were pulled."""
        self._writer.transport.abort()

    async def _messages(self) -> AsyncIterator[tuple[bytes, int, int, bytes]]:
        while True:
            header = await self._reader.readexactly(_HEADER.size)
            command, first, second, size, _, _ = _HEADER.unpack(header)
            yield command, first, second, await self._reader.readexactly(size)

    async def _message(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN" and not self.faults.silent:
            await self._greet(second)
        elif command == b"AUTH":
            await self.send(b"AUTH", 1, 0, os.urandom(20))
        elif command == b"OPEN":
            await self._open(first, data.rstrip(b"\0").decode())
        elif command == b"OKAY" and second in self._streams:
            self._streams[second].acknowledged.set()
        elif command == b"WRTE" and second in self._streams:
            await self._streams[second].feed(data)
            await self.send(b"OKAY", second, first)
        elif command == b"CLSE" and second in self._streams:
            await self._streams.pop(second).close()

    async def _greet(self, most: int) -> None:
        self.most = min(most, _MOST)
        if self.faults.unauthorized:
            await self.send(b"AUTH", 1, 0, os.urandom(20))
        else:
            banner = f"device::ro.product.name=double;ro.product.model=Double;features={self.faults.features}"
            await self.send(b"CNXN", _VERSION, _MOST, banner.encode())

    async def _open(self, remote: int, service: str) -> None:
        stream = Stream(self, len(self._streams) + remote * 1000 + 1, remote)
        self._streams[stream.local] = stream
        await self.send(b"OKAY", stream.local, remote)
        name, _, rest = service.partition(":")
        work = self._sync(stream) if name == "sync" else self._shell(stream, name, rest)
        task = asyncio.create_task(self._run(stream, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: Stream, work) -> None:  # type: ignore[no-untyped-def]
        with contextlib.suppress(EOFError, ConnectionError):
            await work
        with contextlib.suppress(ConnectionError):
            await self.send(b"CLSE", stream.local, stream.remote)

    # Shell

    async def _shell(self, stream: Stream, name: str, command: str) -> None:
        new = name.startswith("shell,v2")
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE if new else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if new else asyncio.subprocess.STDOUT,
            env={**os.environ, "PATH": self._path},
            cwd="/",
            start_new_session=True,
        )
        cut = next((word for word in self.faults.cut_shells if word in command), None)
        try:
            outputs = [(_OUT, process.stdout)] + ([(_ERR, process.stderr)] if new else [])
            await asyncio.gather(*(self._forward(stream, kind, pipe, new, cut) for kind, pipe in outputs if pipe))
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process._transport.close()  # type: ignore[attr-defined]  # else its pipes outlive the loop
        if new:
            await stream.write(struct.pack("<BIB", _EXIT, 1, code % 256))

    async def _forward(self, stream: Stream, kind: int, pipe: asyncio.StreamReader, new: bool, cut: str | None) -> None:
        while data := await pipe.read(_DATA):
            await stream.write(struct.pack("<BI", kind, len(data)) + data if new else data)
            if cut is not None:
                self.faults.cut_shells.remove(cut)
                self.cut()
                raise EOFError

    # Sync

    async def _sync(self, stream: Stream) -> None:
        while True:
            command, size = struct.unpack("<4sI", await stream.read(8))
            if command == b"QUIT":
                return
            path = (await stream.read(size)).decode()
            if command in (b"STAT", b"STA2", b"LST2"):
                await stream.write(_stat(command, path))
            elif command == b"SEND":
                await self._receive(stream, path.rpartition(",")[0])
            elif command == b"RECV":
                await self._give(stream, path)
            else:
                await _fail(stream, f"unknown command {command!r}")
                return

    async def _receive(self, stream: Stream, path: str) -> None:
        try:
            with Path(path).open("wb") as file:
                await self._take(stream, file)
        except EOFError:
            Path(path).unlink(missing_ok=True)  # as the real daemon does
            raise
        except OSError as error:
            Path(path).unlink(missing_ok=True)
            await _drain(stream)
            await _fail(stream, f"couldn't create file: {error.strerror}")
            return
        await stream.write(struct.pack("<4sI", b"OKAY", 0))

    async def _take(self, stream: Stream, file) -> None:  # type: ignore[no-untyped-def]
        while True:
            kind, size = struct.unpack("<4sI", await stream.read(8))
            if kind == b"DONE":
                return
            data = await stream.read(size)
            if self.faults.full:
                raise OSError(28, "No space left on device")
            if self.faults.cut_pushes:
                self.faults.cut_pushes -= 1
                file.write(data[: size // 2])
                self.cut()
                raise EOFError
            if self.faults.changed_pushes:
                self.faults.changed_pushes -= 1
                data = bytes([data[0] ^ 1]) + data[1:]
            file.write(data)

    async def _give(self, stream: Stream, path: str) -> None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            await _fail(stream, f"open failed: {error.strerror}")
            return
        for start in range(0, len(content), _DATA):
            part = content[start : start + _DATA]
            await stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
            if self.faults.cut_pulls:
                self.faults.cut_pulls -= 1
                self.cut()
                raise EOFError
        await stream.write(struct.pack("<4sI", b"DONE", 0))


def _stat(command: bytes, path: str) -> bytes:
    """The file's facts; errors travel inside the reply."""
    try:
        found = os.stat(path) if command != b"LST2" else os.lstat(path)  # noqa: PTH116
    except OSError as error:
        if command == b"STAT":
            return struct.pack("<4s3I", b"STAT", 0, 0, 0)
        return struct.pack("<4sIQQIIIIQqqq", command, error.errno or 0, *([0] * 10))
    if command == b"STAT":
        return struct.pack("<4s3I", b"STAT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    facts = (found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_size)
    return struct.pack("<4sIQQIIIIQqqq", command, 0, *facts, *times)


async def _fail(stream: Stream, why: str) -> None:
    await stream.write(struct.pack("<4sI", b"FAIL", len(why.encode())) + why.encode())


async def _drain(stream: Stream) -> None:
    """Swallow the rest of a push that cannot be kept."""
    while True:
        kind, size = struct.unpack("<4sI", await stream.read(8))
        if kind == b"DONE":
            return
        await stream.read(size)


@dataclass(frozen=True)
class Device:
    """A running double: ``127.0.0.1:port`` is its serial number once connected."""

    port: int
    faults: Faults
    bin: Path
    """Programs here come before the system's."""
    folder: Path
    """Where deploy may work."""

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def program(self, name: str, script: str) -> None:
        """Put a program on the device's PATH."""
        self.bin.mkdir(exist_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)


@contextlib.contextmanager
def running_device(root: Path) -> Iterator[Device]:
    """A double in a thread of its own, with its files below ``root``."""
    faults = Faults()
    folder = root / "data local tmp"
    folder.mkdir(parents=True)
    loop = asyncio.new_event_loop()
    path = f"{root / 'bin'}:{os.environ['PATH']}"
    connections: set[Connection] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, faults, path)
        connections.add(connection)
        await connection.serve()

    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Device(server.sockets[0].getsockname()[1], faults, root / "bin", folder)
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server, connections), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(server: asyncio.Server, connections: set[Connection]) -> None:
    server.close()
    for connection in connections:
        connection.cut()
    await asyncio.sleep(0.1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:  # type: ignore[arg-type]
        task.cancel()
