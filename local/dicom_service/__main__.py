"""Run the service: `python -m local.dicom_service --port 8080 --data DIR`.

The secret that bearer tokens are signed with comes from the environment variable LOCAL_TOKEN_SECRET.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from local.dicom_service import clock
from local.dicom_service.app import create_app
from local.dicom_service.state import DEFAULT_MAX_REQUEST_BYTES
from local.dicom_service.web.listener import HOST, listen

KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 1  # what requests under way have to end once the service is told to stop
LAST_SECONDS = 1.8  # when it ends no matter what

log = logging.getLogger(__name__)


def main() -> int:
    """Serve until told to stop; return the exit code."""
    options = _options()
    secret = os.environ.get("LOCAL_TOKEN_SECRET")
    if not options.no_auth and not secret:
        return _complain("LOCAL_TOKEN_SECRET is not set; set it, or ask for no tokens with --no-auth.")
    clock.set_ahead(options.clock_ahead_seconds)
    signal.signal(signal.SIGTERM, _stop)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Its tracebacks would show values.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    try:
        listener = listen(options.port)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({type(error).__name__})"
        return _complain(f"Port {options.port} of {HOST} {why}.")
    with listener:
        log.info("listening on http://%s:%d/v2", *listener.getsockname())
        return _serve(_app(options, secret), listener)


def _app(options: argparse.Namespace, secret: str | None) -> Starlette:
    return create_app(
        options.data,
        None if options.no_auth else secret,
        implicit_vr=options.implicit_vr,
        max_request_bytes=options.max_request_bytes,
        preamble=options.preamble,
        mismatch_code=options.mismatch_code,
        partitions=options.partitions,
        put_upsert=options.put_upsert,
    )


def _serve(app: Starlette, listener: socket.socket) -> int:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        date_header=False,  # `Dates` has it
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = _Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else _complain("The service could not start: see the line above.")


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # A thread that writes a large file to disk cannot be cancelled; the store survives being left at any moment.
        timer = threading.Timer(LAST_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.dicom_service", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--data", type=Path, required=True, help="folder for the index and the files")
    parser.add_argument("--no-auth", action="store_true", help="take requests without a token")
    parser.add_argument("--implicit-vr", choices=("warn", "reject"), default="warn")
    parser.add_argument("--max-request-bytes", type=int, default=DEFAULT_MAX_REQUEST_BYTES)
    parser.add_argument("--preamble", choices=("require", "optional"), default="require")
    parser.add_argument("--mismatch-code", type=int, choices=(43264, 43265), default=43264)
    parser.add_argument("--partitions", action="store_true", help="take studies below /v2/partitions/NAME only")
    parser.add_argument("--clock-ahead-seconds", type=float, default=0.0, help="how far its clock is ahead")
    parser.add_argument("--no-put-upsert", dest="put_upsert", action="store_false", help="take no PUT of studies")
    return parser.parse_args()


def _stop(signal_number: int, frame: FrameType | None) -> None:
    """End with success: uvicorn, once it has stopped, raises the signal again."""
    raise SystemExit(0)


if __name__ == "__main__":
    try:
        code = main()
    except (SystemExit, KeyboardInterrupt) as stop:
        code = stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # waits for no thread
