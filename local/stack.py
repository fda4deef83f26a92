"""The whole local stack: Azurite, the token endpoint, the DICOM service and the app, a process each.

    with Stack(folder, settings={"PURGE_MODE": "delete"}) as stack:
        httpx.get(f"{stack.app_url}/studies")

`make up`, the demo and the end-to-end tests run the same one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Self

import httpx

from local import identity, tokens
from local.azurite import Azurite
from local.commands import ROOT, start_module, status
from local.ports import HOST, Ports
from local.process import Part, kill, stop, wait_until_ready
from shared.settings import OWN_CONTAINERS, Settings, setting_name

_LONGEST_ANSWER_SECONDS = 120.0  # of the host, where everything is busy


def without_trigger(folder: Path, sources: str) -> dict[str, str]:
    """Return settings by which files come by the queue and the sweep alone, under the rules of a `sources.toml`.

    Args:
        folder: where it is written.
        sources: what is in it.
    """
    path = folder / "sources.toml"
    path.write_text(sources)
    return {"SOURCES_PATH": str(path), "AzureWebJobs.store_on_upload.Disabled": "true"}


class Stack:
    """The running parts; a context manager that is left with all of them ended.

    Args:
        folder: where data and logs go.
        ports: which ports to listen on.
        auth: ask for function keys, as Azure does.
        cors: the origins whose pages may call the app; without any, there is no CORS.
        worker: what runs the functions (`local.functions_host.workers`); None leaves it to the functions host.
        poll_seconds: how often blobs and queues are looked at; None leaves it to the functions host.
        lock_seconds: how long the messages of a killed functions host stay hidden; None leaves it to the host.
        clock_ahead_seconds: how far the app's clock alone is ahead; `set_clock` sets the DICOM service's too.
        dicom_options: of `python -m local.dicom_service`, such as `--partitions`.
        role: what the app's tokens allow it at the DICOM service; those of `token` allow everything.
        settings: environment variables of the app; they win over those that the stack would set.
        in_memory: have storage keep nothing on disk.
        say: receives a line of progress.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        auth: bool = False,
        cors: Sequence[str] = (),
        worker: str | None = None,
        poll_seconds: float | None = None,
        lock_seconds: float | None = None,
        clock_ahead_seconds: float | None = None,
        dicom_options: Sequence[str] = (),
        role: tokens.Role = "owner",
        settings: Mapping[str, str] | None = None,
        in_memory: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder = folder
        self.ports = (ports or Ports()).chosen()
        self.function_key = secrets.token_urlsafe(32)
        self.master_key = secrets.token_urlsafe(32)
        self.identity_header = secrets.token_urlsafe(32)
        self._token_secret = secrets.token_urlsafe(48)
        self._auth = auth
        self._host_options: dict[str, float | str | None] = {
            "--cors": ",".join(cors) or None,
            "--worker": worker,
            "--poll-seconds": poll_seconds,
            "--lock-seconds": lock_seconds,
            "--clock-ahead-seconds": clock_ahead_seconds,
        }
        self._dicom_options = dicom_options
        self._role = role
        self._settings = settings or {}
        self._say = say
        self._azurite = Azurite(folder, first_port=self.ports.azurite, in_memory=in_memory)
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def app_url(self) -> str:
        """Where the app's routes begin."""
        return f"http://{HOST}:{self.ports.app}/api"

    @property
    def host_url(self) -> str:
        """Where the functions host's own routes begin."""
        return f"http://{HOST}:{self.ports.app}"

    @property
    def dicom_url(self) -> str:
        """The base URL of the DICOM service."""
        return f"http://{HOST}:{self.ports.dicom}/v2"

    @property
    def identity_url(self) -> str:
        """What IDENTITY_ENDPOINT says."""
        return identity.url(self.ports.identity)

    @property
    def connection_string(self) -> str:
        """The connection string of the storage account."""
        return self._azurite.connection_string

    def token(self) -> str:
        """Return a bearer token for the DICOM service."""
        return tokens.issue(self._token_secret)

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        """Start everything and return when the app answers.

        Args:
            check: called again and again meanwhile; what it raises ends the wait.

        Raises:
            PartFailed: a part ended or is not ready in time.
        """
        self._say("Starting storage, the token endpoint and the DICOM service ...")
        azurite = self._azurite.start()
        self._parts.append(azurite)
        self.start_dicom_service(check)
        self._wait(azurite, self._azurite.is_ready, check)
        self._azurite.create_containers([self.environment()["DICOM_INBOX_CONTAINER"], *OWN_CONTAINERS])
        self._say("Starting the app ...")
        self._start_app(check)

    def start_dicom_service(self, check: Callable[[], None] = lambda: None) -> None:
        """Start the DICOM service and the token endpoint alone, and return when both answer; otherwise as `start`."""
        endpoint = self._identity()
        service = self._dicom_service()
        self._wait(endpoint, lambda: status(self.ports.identity, "/") is not None, check)
        self._wait(service, lambda: status(self.ports.dicom, "/health/check") == HTTPStatus.OK, check)

    def restart_app(
        self, *, clock_ahead_seconds: float | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """Kill the app with SIGKILL, in the middle of whatever it does, and start it again.

        Args:
            clock_ahead_seconds: how far its clock alone is ahead from now on; None leaves it as it is.
            settings: which are other than before, from now on.

        Raises:
            PartFailed: it is not ready in time, or ended before.
        """
        app = self.part("app")
        app.check()
        kill(app)
        self._parts.remove(app)
        if clock_ahead_seconds is not None:
            self._host_options["--clock-ahead-seconds"] = clock_ahead_seconds
        self._settings = {**self._settings, **(settings or {})}
        self._start_app(lambda: None)

    def set_clock(self, ahead_seconds: float, *, settings: Mapping[str, str] | None = None) -> None:
        """Set the DICOM service's clock, and the app's, for which it is restarted; storage goes by the machine's.

        Args:
            ahead_seconds: how far both are ahead.
            settings: of the app, which are other than before.

        Raises:
            PartFailed: as `restart_app`.
            httpx.HTTPError: the DICOM service does not take it.
        """
        self.set_service_clock(ahead_seconds)
        self.restart_app(clock_ahead_seconds=ahead_seconds, settings=settings)

    def set_service_clock(self, ahead_seconds: float) -> None:
        """Set the DICOM service's clock alone.

        Raises:
            httpx.HTTPError: it does not take it.
        """
        url = f"http://{HOST}:{self.ports.dicom}/admin/clock"
        httpx.post(url, json={"ahead_seconds": ahead_seconds}, trust_env=False).raise_for_status()

    def fire(self, function: str) -> None:
        """Have a function run that is not an HTTP one, as the portal does; return before it has.

        Raises:
            httpx.HTTPError: the host does not take it.
        """
        httpx.post(
            f"{self.host_url}/admin/functions/{function}",
            json={"input": ""},
            headers={"x-functions-key": self.master_key},
            timeout=_LONGEST_ANSWER_SECONDS,
            trust_env=False,
        ).raise_for_status()

    def check(self) -> None:
        """Raise PartFailed if a part has ended."""
        for part in self._parts:
            part.check()

    def part(self, name: str) -> Part:
        """Return a running part: `Azurite`, `identity`, `dicom-service` or `app`."""
        return next(part for part in self._parts if part.name == name)

    def stop(self) -> None:
        """End every part: the app first, which uses the others."""
        stop(part for part in self._parts if part.name == "app")
        stop(self._parts)
        self._parts.clear()

    def environment(self) -> dict[str, str]:
        """Return the app's environment."""
        return {**os.environ, **self._own_settings(), **self._settings}

    def app_settings(self) -> dict[str, str]:
        """Return the app's settings alone, whosever they are."""
        names = self._own_settings().keys() | set(map(setting_name, Settings.model_fields))
        return {name: value for name, value in self.environment().items() if name in names}

    def overridden(self) -> list[str]:
        """Return the names of the app's settings that are not the stack's own."""
        return sorted(self._own_settings().keys() & self._settings.keys())

    def _own_settings(self) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": self.connection_string,
            "DICOM_STORAGE": self.connection_string,
            "DICOM_INBOX_CONTAINER": "dicom-inbox",
            "DICOM_SERVICE_URL": self.dicom_url,
            "IDENTITY_ENDPOINT": self.identity_url,
            "IDENTITY_HEADER": self.identity_header,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "BLOB_TRIGGER_SOURCE": "LogsAndContainerScan",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PYTHON_ENABLE_INIT_INDEXING": "1",
            "LEDGER_KEY": "of this machine only",
        }

    def _start_app(self, check: Callable[[], None]) -> None:
        app = self._functions_host()
        self._wait(app, lambda: status(self.ports.app, "/api/health/live") == HTTPStatus.OK, check)
        if status(self.ports.app, "/api/health/ready") != HTTPStatus.OK:
            self._say(f"The app answers, but is not ready: see the events not_ready in {app.log}.")

    def _identity(self) -> Part:
        secret = {"IDENTITY_HEADER": self.identity_header, "LOCAL_TOKEN_SECRET": self._token_secret}
        options = ["--port", str(self.ports.identity), "--role", self._role]
        return self._module("identity", "local.identity", *options, **secret)

    def _dicom_service(self) -> Part:
        options = ["--port", str(self.ports.dicom), "--data", str(self.folder / "dicom")]
        options += self._dicom_options
        return self._module("dicom-service", "local.dicom_service", *options, LOCAL_TOKEN_SECRET=self._token_secret)

    def _functions_host(self) -> Part:
        options = ["--port", str(self.ports.app), "--app", str(ROOT)]
        if self._auth:
            options.append("--auth")
        for option, value in self._host_options.items():
            options += [option, str(value)] if value is not None else []
        keys = {"LOCAL_FUNCTION_KEY": self.function_key, "LOCAL_MASTER_KEY": self.master_key}
        return self._module("app", "local.functions_host", *options, **self.environment(), **keys)

    def _module(self, name: str, module: str, *options: str, **environment: str) -> Part:
        part = start_module(name, module, *options, log_folder=self.folder, environment=environment)
        self._parts.append(part)
        return part

    def _wait(self, part: Part, is_ready: Callable[[], bool], check: Callable[[], None]) -> None:
        def check_all() -> None:
            check()
            self.check()

        wait_until_ready(part, is_ready, check_all)
