"""`python -m local.functions_host`: run the function app of a folder. Exit codes: see `main`."""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from local.functions_host import workers
from local.functions_host.functions import LoadError, find_app
from local.functions_host.host import Host
from local.functions_host.keys import Keys, load_keys
from local.functions_host.output import say, set_up_logging
from local.functions_host.settings import HostSettings, load_settings

EXIT_BAD_APP = 1
EXIT_PORT_TAKEN = 2
_ADDRESS = "127.0.0.1"
_BACKLOG = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host until it is signalled.

    Returns:
        0 after a calm end, 1 if the app or its storage is no good, 2 if the port is taken.
    """
    options = _read_options(arguments)
    app = options.app.resolve()
    try:
        find_app(app)
        settings = load_settings(
            app,
            cors=options.cors,
            poll_seconds=options.poll_seconds,
            lock_seconds=options.lock_seconds,
            clock_ahead_seconds=options.clock_ahead_seconds,
        )
        worker = workers.choose(options.worker)
    except LoadError as error:
        return _refuse(str(error), EXIT_BAD_APP)
    try:
        listening = _listen(options.port)
    except OSError as error:
        return _refuse(f"port {options.port} cannot be used: {os.strerror(error.errno or 0)}", EXIT_PORT_TAKEN)
    keys, drawn = load_keys(options.auth)
    set_up_logging()
    if drawn:
        say(f"KEYS function={keys.function} master={keys.master}")
    with asyncio.Runner(loop_factory=workers.loop_factory()) as runner:
        return runner.run(_serve(settings, worker, keys, listening))


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=__doc__)
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--app", type=Path, default=Path())
    parser.add_argument("--auth", action="store_true", help="ask for function keys, as Azure does")
    parser.add_argument("--worker", choices=workers.CHOICES, default="auto")
    parser.add_argument("--poll-seconds", type=float, default=1.0)
    parser.add_argument(
        "--lock-seconds",
        type=float,
        default=30.0,
        help="how long a message of a killed host stays hidden; at least 3",
    )
    parser.add_argument(
        "--clock-ahead-seconds", type=float, default=0.0, help="how far the app's own clock, shared.clock, is ahead"
    )
    parser.add_argument("--cors", metavar="ORIGIN,...", help="origins that browsers may call from")
    return parser.parse_args(arguments)


def _listen(port: int) -> socket.socket:
    """Take the port before the app is imported, so that a taken one is told at once."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_ADDRESS, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


async def _serve(settings: HostSettings, worker: workers.Worker, keys: Keys, listening: socket.socket) -> NoReturn:
    asyncio.get_running_loop().set_exception_handler(_report_loop_error)
    stopping = _take_signals(asyncio.Event())
    host = Host(settings, worker, keys)
    try:
        if await _start(host, listening, stopping):
            _take_signals(stopping)
            say("Host running", f"http://{_ADDRESS}:{listening.getsockname()[1]}", f"worker {worker.name}")
            await stopping.wait()
    except LoadError as error:
        _leave(_refuse(str(error), EXIT_BAD_APP))
    await host.stop()
    _leave(0)


def _take_signals(stopping: asyncio.Event) -> asyncio.Event:
    """Have signals set the event. Done again after the start: the worker's web server takes them, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _start(host: Host, listening: socket.socket, stopping: asyncio.Event) -> bool:
    """Start the host; return False if a signal came first."""
    starting = asyncio.create_task(host.start(listening))
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    return False


def _report_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Stand in for asyncio's own report, which prints the exception's text."""
    error = context.get("exception")
    say("event loop", "error", type(error).__name__ if error else "unknown")


def _refuse(reason: str, code: int) -> int:
    print(f"functions host: {reason}", file=sys.stderr, flush=True)
    return code


def _leave(code: int) -> NoReturn:
    """End the process now, having told those who asked to be told.

    An ordinary exit would wait for threads that still run functions, and would cancel the worker's
    web server, which then prints its stack.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
