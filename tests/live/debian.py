"""Debian's packages, unpacked into a folder of ours, with what they need and the machine lacks.

All of apt's own state goes into that folder, and no hook of the machine's runs: nothing else is changed, so that no
root is needed. The signatures and sources are the machine's.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .installing import InstallationFailed, only_one, run

CACHE = Path(__file__).resolve().parents[2] / ".local"
_APT_CONF = """\
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Debug::NoLocking "true";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "15";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def unpacked(package: str, cache: Path) -> Path:
    """Return the folder that a package is unpacked in; the first time, apt downloads it.

    Args:
        package: its name.
        cache: a folder for this package alone.

    Raises:
        InstallationFailed: apt is not there, or failed.
    """
    folder = cache / "unpacked"
    with only_one(cache):
        if not folder.exists():
            _fetch(package, cache / "work")
            (cache / "work/unpacked").rename(folder)
            shutil.rmtree(cache / "work")
    return folder


def library_path(root: Path) -> str:
    """Return what `LD_LIBRARY_PATH` must be for programs unpacked here; their own paths lead to the machine's."""
    found = {file.parent for lib in ("lib", "usr/lib") for file in root.glob(f"{lib}/*-linux-gnu*/**/*.so*")}
    return os.pathsep.join(sorted(map(str, found)))


def _fetch(package: str, work: Path) -> None:
    """Download the package with what it needs and the machine lacks, and unpack all into `work / "unpacked"`."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise InstallationFailed("there is none on this machine, nor apt-get to fetch it")
    shutil.rmtree(work, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "packages", "unpacked"):
        (work / name).mkdir(parents=True)
    for file in _download(package, work):
        run(["dpkg-deb", "--extract", file, work / "unpacked"], folder=work, timeout_seconds=60)


def _download(package: str, work: Path) -> list[Path]:
    (work / "apt.conf").write_text(_APT_CONF.format(folder=work))
    options = ["--quiet", f"--config-file={work / 'apt.conf'}"]
    run(["apt-get", "update", *options], folder=work, timeout_seconds=300)
    plan = run(["apt-get", "install", "--simulate", *options, package], folder=work, timeout_seconds=20)
    missing = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    run(["apt-get", "download", *options, *missing], folder=work / "packages", timeout_seconds=300)
    return sorted((work / "packages").glob("*.deb"))
