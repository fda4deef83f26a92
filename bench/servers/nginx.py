"""nginx, as the DICOM service that answers from files, and as a proxy before it; one worker each."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.programs import check_runs, is_listened_to, wait_until
from bench.servers.canned import MULTIPART
from local.ports import HOST, free_ports

_CONFIGURATION: Final = """
daemon off;
master_process off; # one process, which may read what we may
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    open_file_cache max=100;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""
# A search that there is no page for is the bench's mistake: it shall not look like an answer.
_SERVICE: Final = """
    server {{
        listen {port};
        root {folder};
        location = /v2/studies {{
            default_type application/dicom+json;
            try_files /page-$arg_limit-$arg_offset.json =500;
        }}
        location /v2/studies/ {{
            default_type '{multipart}';
            location ~ /instances/ {{ try_files /instance =404; }}
            location ~ /series/ {{ try_files /series =404; }}
            try_files /study =404;
        }}
    }}
"""
_PROXY: Final = """
    upstream service {{ server {service}; keepalive 64; }}
    server {{
        listen {port};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
            {buffers}
        }}
    }}
"""
# Three settings, for nginx refuses one that is out of proportion to the others.
_BUFFERS: Final = "proxy_buffer_size {kib}k; proxy_buffers 8 {kib}k; proxy_busy_buffers_size {twice}k;"


@contextmanager
def nginx_service(program: str, folder: Path) -> Iterator[str]:
    """Run a DICOM service that answers from `page-LIMIT-OFFSET.json`, `instance`, `series` and `study`.

    Args:
        program: nginx.
        folder: has the files.
    """
    port = free_ports(1)
    with _running(program, folder, port, _SERVICE.format(port=f"{HOST}:{port}", folder=folder, multipart=MULTIPART)):
        yield f"http://{HOST}:{port}/v2"


@contextmanager
def nginx_proxy(program: str, folder: Path, service: str, buffer_kib: int | None = None) -> Iterator[str]:
    """Run a proxy before a service, and give what stands for its address.

    Args:
        program: nginx.
        folder: for its own files.
        service: the address of the service, with the version.
        buffer_kib: what it passes on at once, at most; None as Debian has it, a page of 4 KiB.
    """
    port = free_ports(1)
    address = service.removeprefix("http://").removesuffix("/v2")
    buffers = _BUFFERS.format(kib=buffer_kib, twice=2 * buffer_kib) if buffer_kib else ""
    with _running(program, folder, port, _PROXY.format(port=f"{HOST}:{port}", service=address, buffers=buffers)):
        yield f"http://{HOST}:{port}/v2"


@contextmanager
def _running(program: str, folder: Path, port: int, servers: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, servers=servers))
    command = (program, "-e", folder / "error.log", "-c", configuration)
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            wait_until(lambda: is_listened_to(port), "nginx", lambda: check_runs(process, "nginx"))
            yield
        finally:
            process.terminate()
