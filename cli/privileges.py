"""As whom a program runs, and what becomes of it when we die.

Both are done by `setpriv` (util-linux): it changes itself, then becomes the
program, so the pid that was started is the program's.
"""

import os
import pwd
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from cli.errors import CannotStart

READ_EXECUTE = 0o5
SEARCH = 0o1

# Numbers of linux/capability.h.
CAPABILITIES = {"dac_override": 1, "dac_read_search": 2, "setpcap": 8}


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of this machine."""

    uid: int
    gid: int


def tied_to_us(argv: Sequence[str], orphan_signal: Signals) -> tuple[str, ...]:
    """The command that runs `argv` and gets `orphan_signal` when we die, even of SIGKILL.

    Where there is no `setpriv` (macOS), `argv` itself: the next start then
    ends what is left over.
    """
    setpriv = shutil.which("setpriv")
    return tuple(argv) if setpriv is None else (setpriv, f"--pdeathsig={orphan_signal.name[3:]}", "--", *argv)


def unprivileged_account(owned: Path) -> Account | None:
    """Who a program that refuses to be root should run as; None when we are not root.

    Args:
        owned: its folder; the owner of an existing one stays its owner.
    """
    if os.geteuid() != 0:
        return None
    if owned.exists() and owned.stat().st_uid != 0:
        found = owned.stat()
        return Account(found.st_uid, found.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as exc:
        raise CannotStart(
            "PostgreSQL refuses to run as root, and this machine has no user 'nobody' to run it as:"
            " run darkroom as an ordinary user, or set DATABASE_URL."
        ) from exc
    return Account(nobody.pw_uid, nobody.pw_gid)


def as_account(
    argv: Sequence[str],
    account: Account,
    orphan_signal: Signals,
    *,
    programs: Sequence[Path],
    folders: Sequence[Path],
) -> tuple[str, ...]:
    """The command that runs `argv` as `account`, tied to us as `tied_to_us`.

    Root's own folders (/root is 0700, and so is what pytest makes) keep their
    modes: a program under one of them is given the single capability that lets
    it read past them.

    Args:
        argv: what to run.
        account: as whom.
        orphan_signal: what it gets when we die.
        programs: executables it needs.
        folders: what else it needs to reach.

    Raises:
        CannotStart: this machine gives us no way to.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotStart(
            "PostgreSQL refuses to run as root, and `setpriv`, which would run it as another user, is not"
            " installed: install util-linux, run darkroom as an ordinary user, or set DATABASE_URL."
        )
    return (
        setpriv,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        *_capability_options(account, programs, folders),
        f"--pdeathsig={orphan_signal.name[3:]}",
        "--",
        *argv,
    )


def _capability_options(account: Account, programs: Sequence[Path], folders: Sequence[Path]) -> list[str]:
    useful = _useful_capabilities(account, programs, folders)
    if not useful:
        return []
    held = _held_capabilities()
    capability = next((name for name in useful if {name, "setpcap"} <= held), None)
    if capability is None:
        raise CannotStart(
            f"PostgreSQL refuses to run as root, and user {account.uid} may not get at {folders[0]} or"
            f" {programs[0]}: run darkroom as an ordinary user, or set DATABASE_URL."
        )
    return [
        f"--inh-caps=+{capability}",
        f"--ambient-caps=+{capability}",
        # Without it access(2) drops the capability for its question, and PostgreSQL, which asks access(2)
        # about its own executable, answers "invalid binary: Permission denied".
        "--securebits=+no_setuid_fixup",
    ]


def _useful_capabilities(
    account: Account, programs: Sequence[Path], folders: Sequence[Path]
) -> tuple[str, ...]:
    """Capabilities that would let `account` at all of these, the weakest first; none if it already may."""
    if not all(_may(account, program, READ_EXECUTE) for program in programs):
        return ("dac_override",)  # installed under umask 077: reading is not executing
    on_the_way = {parent for path in (*programs, *folders) for parent in path.parents}
    if all(_may(account, folder, SEARCH) for folder in on_the_way):
        return ()
    # Docker's default set has no dac_read_search.
    return ("dac_read_search", "dac_override")


def _may(account: Account, path: Path, wanted: int) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return (found.st_mode >> 6) & wanted == wanted
    if found.st_gid == account.gid:
        return (found.st_mode >> 3) & wanted == wanted
    return found.st_mode & wanted == wanted


def _held_capabilities() -> set[str]:
    """Those we have and may pass on."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return set()
    bits = _mask(lines, "CapEff:") & _mask(lines, "CapBnd:")
    return {name for name, number in CAPABILITIES.items() if bits >> number & 1}


def _mask(lines: Iterable[str], label: str) -> int:
    return next((int(line.split()[1], 16) for line in lines if line.startswith(label)), 0)
