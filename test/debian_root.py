"""Debian in a folder, by debootstrap, for tests of what must work beside, or without, what is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class NoRootError(Exception):
    """It cannot be had here; the message says why."""


def base_system(root: Path, release: str, include: Sequence[str] = ()) -> None:
    """Make a root with what Debian calls minbase, anew. Raises NoRootError."""
    if os.geteuid() != 0:
        raise NoRootError("needs root for debootstrap and chroot")
    shutil.rmtree(root, ignore_errors=True)
    careless = root / "etc" / "dpkg" / "dpkg.cfg.d" / "careless"
    careless.parent.mkdir(parents=True)
    careless.write_text("force-unsafe-io\n")  # a throw-away root needs no fsync
    script, environment = _debootstrap(root)
    options = ["--variant=minbase", *([f"--include={','.join(include)}"] if include else [])]
    run(f"Debian {release}", [script, *options, release, str(root)], root, environment)


def _debootstrap(root: Path) -> tuple[str, dict[str, str]]:
    """debootstrap and the environment it needs: the installed one, or its package unpacked beside the root."""
    installed = shutil.which("debootstrap")
    if installed:
        return installed, {}
    folder = root.with_name(root.name + "-debootstrap")
    folder.mkdir(exist_ok=True)
    run("debootstrap", ["apt-get", "download", "debootstrap"], folder)
    for package in folder.glob("debootstrap_*.deb"):
        run("debootstrap", ["dpkg-deb", "-x", str(package), str(folder)], folder)
    return str(folder / "usr/sbin/debootstrap"), {"DEBOOTSTRAP_DIR": str(folder / "usr/share/debootstrap")}


def run(what: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """One step, told on standard error. Raises NoRootError where it fails."""
    print(f"{folder.name}: getting {what} ...", file=sys.stderr, flush=True)
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise NoRootError(f"{what} cannot be had: {error}") from None
    if result.returncode != 0:
        tail = " | ".join(result.stdout.splitlines()[-4:])
        raise NoRootError(f"{what} cannot be had: {tail}")
