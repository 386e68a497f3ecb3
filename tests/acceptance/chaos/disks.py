"""A home on a disk of its own that can be full; where none may be mounted, pictures alone find no place.

`mount` needs root, and in a container its leave.  Without it the folder of the
outputs is put aside and a file stands in its place: every write there fails,
though not with ENOSPC, and the database's disk is never full.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOM_MIB = 4096  # of memory, and only what is written of it
SLACK_KIB = 64
"""Left free on a full disk: a page or two, so that what is full is not the same for every file."""


class Disk:
    """A folder that can be filled up."""

    def __init__(self, folder: Path, *, is_mounted: bool) -> None:
        self.folder = folder
        self.is_mounted = is_mounted
        self._aside: list[Path] = []

    @property
    def can_be_full(self) -> bool:
        """Whether `fill` would be a full disk, and not something like it."""
        return self.is_mounted

    def fill(self) -> None:
        """From now on nothing more can be written; safe to call twice."""
        if self.is_mounted:
            _resize(self.folder, f"{_used_kib(self.folder) + SLACK_KIB}k")
        while not self.is_mounted and self.folder.is_dir():
            self._put_aside()

    def _put_aside(self) -> None:
        """A file in the folder's place, unless a worker is quicker and makes a new folder there."""
        self._aside.append(self.folder.with_name(f"{self.folder.name}.aside-{len(self._aside)}"))
        self.folder.rename(self._aside[-1])
        with contextlib.suppress(FileExistsError, IsADirectoryError):
            self.folder.open("x").close()

    def free(self) -> None:
        """There is room again; safe to call twice."""
        if self.is_mounted:
            _resize(self.folder, f"{ROOM_MIB}m")
        if self._aside:
            self.folder.unlink()
            for folder in self._aside:
                shutil.copytree(folder, self.folder, dirs_exist_ok=True)
                shutil.rmtree(folder)
            self._aside.clear()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk at `folder`, which is made; nothing is mounted any more after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    is_mounted = _mount(folder)
    try:
        yield Disk(folder, is_mounted=is_mounted)
    finally:
        if is_mounted:
            # Lazily: a process that dies just now may still have a file open there.
            subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(folder: Path) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    wanted = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MIB}m,mode=0755", "chaos", str(folder)]
    return subprocess.run(wanted, capture_output=True, check=False).returncode == 0


def _resize(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True, capture_output=True)


def _used_kib(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
