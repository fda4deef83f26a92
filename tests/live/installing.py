"""Other people's software: fetched once, by one test run at a time, within a stated time.

Debian's packages are unpacked into a folder of ours, with what they need and the machine lacks. All of apt's own state
goes there too, and no hook of the machine's runs, so that no root is needed. The machine's signatures and sources hold.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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


class InstallationFailed(Exception):
    """A program that installs did not do so; says which, and what it printed last."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other processes out, until they may see that the work is done; the lock ends with this process."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def run(
    command: Sequence[str | Path], *, folder: Path, seconds: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program in a folder and return what it prints.

    Raises:
        InstallationFailed: it is not there, failed, or took too long.
    """
    what = f"{Path(command[0]).name} {command[1]}"
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, timeout=seconds, check=False, text=True, **pipes)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        raise InstallationFailed(f"{what} took more than {seconds:g} s") from None
    except OSError as error:
        raise InstallationFailed(f"{what}: {error.strerror}") from None
    output = str(done.stdout)
    if done.returncode:
        raise InstallationFailed(f"{what} failed: {(output.strip().splitlines() or ['it printed nothing'])[-1]}")
    return output


def unpacked(package: str, *needed: str) -> Path:
    """Return the folder that a Debian package is unpacked in; the first time, apt downloads it.

    Raises:
        InstallationFailed: apt is not there, or failed, or the package lacks a file that is needed.
    """
    folder, work = CACHE / package / "unpacked", CACHE / package / "work"
    with only_one(CACHE / package):
        if not folder.exists():
            if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
                raise InstallationFailed("there is none on this machine, nor apt-get to fetch it")
            shutil.rmtree(work, ignore_errors=True)
            for name in ("lists/partial", "cache/archives/partial", "packages", "unpacked"):
                (work / name).mkdir(parents=True)
            (work / "apt.conf").write_text(_APT_CONF.format(folder=work))
            options = ["--quiet", f"--config-file={work / 'apt.conf'}"]
            run(["apt-get", "update", *options], folder=work, seconds=300)
            plan = run(["apt-get", "install", "--simulate", *options, package], folder=work, seconds=20)
            missing = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
            run(["apt-get", "download", *options, *missing], folder=work / "packages", seconds=300)
            for file in sorted((work / "packages").glob("*.deb")):
                run(["dpkg-deb", "--extract", file, work / "unpacked"], folder=work, seconds=60)
            (work / "unpacked").rename(folder)
            shutil.rmtree(work)
    if not all((folder / name).exists() for name in needed):
        raise InstallationFailed(f"the package {package} is not laid out as expected")
    return folder


def variables(root: Path) -> dict[str, str]:
    """Return where programs unpacked here find their libraries, and DCMTK its dictionary."""
    libraries = {file.parent for lib in ("lib", "usr/lib") for file in root.glob(f"{lib}/*-linux-gnu*/**/*.so*")}
    found = {"LD_LIBRARY_PATH": os.pathsep.join(sorted(map(str, libraries)))}
    for dictionary in root.glob("usr/share/*dcmtk*/dicom.dic"):
        found["DCMDICTPATH"] = str(dictionary)
    return found
