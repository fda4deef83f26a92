"""Run the service: `python -m local.dicom_service --port 8080 --data DIR`.

The secret that bearer tokens are signed with comes from the environment variable LOCAL_TOKEN_SECRET.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from local.dicom_service.app import create_app
from local.dicom_service.state import DEFAULT_MAX_REQUEST_BYTES

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 1  # what requests under way have to end once the service is told to stop


def main() -> int:
    """Serve until told to stop; return the exit code."""
    options = _options()
    secret = os.environ.get("LOCAL_TOKEN_SECRET")
    if not options.no_auth and not secret:
        print("LOCAL_TOKEN_SECRET is not set; set it, or ask for no tokens with --no-auth.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Its tracebacks would show values.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    app = create_app(
        options.data,
        None if options.no_auth else secret,
        implicit_vr=options.implicit_vr,
        max_request_bytes=options.max_request_bytes,
    )
    config = uvicorn.Config(
        app,
        host=HOST,
        port=options.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.dicom_service", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--data", type=Path, required=True, help="folder for the index and the files")
    parser.add_argument("--no-auth", action="store_true", help="take requests without a token")
    parser.add_argument("--implicit-vr", choices=("warn", "reject"), default="warn")
    parser.add_argument("--max-request-bytes", type=int, default=DEFAULT_MAX_REQUEST_BYTES)
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
    # A thread may still be writing a large file to disk. The store survives being killed at any moment.
    os._exit(code)
