"""Run a server: its socket, its signals, its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import uvicorn

    from .service import Service
    from .settings import Settings

LOG = logging.getLogger("trueward.serve")
BACKLOG = 2048


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens nowhere else.

    Parameters
    ----------
    host : str
        Name or address of an interface.
    port : int
        0 takes a free one.

    Raises
    ------
    TruewardError
        If the port is in use or not allowed, or the host is not of this machine.

    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        own = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as e:
        raise TruewardError(f"--host {host} is not known: give an address of this machine") from e
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind(address)
    except OSError as e:
        own.close()
        if e.errno == errno.EADDRINUSE:
            raise TruewardError(
                f"port {port} of {host} is in use: stop the server there, or give another --port"
            ) from e
        if e.errno == errno.EACCES:
            raise TruewardError(
                f"port {port} is reserved for the system: give a --port of 1024 or more"
            ) from e
        raise TruewardError(
            f"--host {host} is no address of this machine ({e.strerror}): give 127.0.0.1, or 0.0.0.0 for all"
        ) from e
    return own


def serve(
    settings: Settings,
    own: socket.socket,
    grace: int = 30,
    started: Callable[[str, dict[str, Any]], None] = lambda _address, _about: None,
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what was accepted.

    Parameters
    ----------
    settings : Settings
        The model, bounds, keys and files.
    own : socket
        From `bound_socket`.
    grace : int, default 30
        Seconds that accepted requests get at the end.
    started : callable
        Called with the address and what is known of the model when requests are scored.

    Raises
    ------
    TruewardError
        If the extra ``serve`` is not installed, or the model cannot be loaded.

    """
    with own:
        _serve(settings, own, grace, started)


def _serve(
    settings: Settings,
    own: socket.socket,
    grace: int,
    started: Callable[[str, dict[str, Any]], None],
) -> None:
    try:
        import uvicorn  # noqa: PLC0415 - of the extra

        from .app import application  # noqa: PLC0415
        from .service import Service  # noqa: PLC0415
    except ModuleNotFoundError as e:
        raise missing_extra("trueward serve", str(e.name), "serve") from None

    async def run() -> None:
        service = Service(settings)
        config = uvicorn.Config(
            application(service),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=grace,
            timeout_keep_alive=75,
        )
        server = uvicorn.Server(config)
        vars(server)["capture_signals"] = contextlib.nullcontext  # ours are below
        begun = asyncio.create_task(_begin(service, server, own, started))
        with _signals(service, server):
            await server.serve([own])
        begun.cancel()
        await asyncio.gather(begun, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await service.end()
        if service.failed is not None:
            raise service.failed

    factory = uvicorn.Config(None, log_config=None).get_loop_factory()  # type: ignore[arg-type]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run())


async def _begin(
    service: Service,
    server: uvicorn.Server,
    own: socket.socket,
    started: Callable[[str, dict[str, Any]], None],
) -> None:
    """Load the model while the server listens; end the server if that fails."""
    host, port = own.getsockname()[:2]
    await service.begin()
    if service.failed is not None:
        server.should_exit = True
        return
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}", service.about)


@contextlib.contextmanager
def _signals(service: Service, server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM and SIGINT drain, a second SIGINT does not wait; SIGHUP reloads."""
    loop, tasks = asyncio.get_running_loop(), set()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = service.stopping = True

    async def reload() -> None:
        with contextlib.suppress(TruewardError):  # it is in the log; the model before goes on
            await service.reload()

    def hang_up() -> None:
        task = asyncio.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    actions = {"SIGTERM": stop, "SIGINT": stop, "SIGHUP": hang_up}
    numbers = {getattr(signal, name): act for name, act in actions.items() if hasattr(signal, name)}
    if threading.current_thread() is not threading.main_thread():
        numbers = {}
    for number, act in numbers.items():
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
