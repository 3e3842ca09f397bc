"""Writing files and folders so that no reader ever sees them half written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from schemegen.diagnostics import UsageError

__all__ = ["MARK", "write_atomically", "write_folder"]

MARK = ".schemegen"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace what is in ``path``; its permissions stay, and a link stays a link."""
    target = path.resolve()
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {_reason(error)}") from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(
                stream.fileno()
            )  # a machine that stops now keeps the old file or has the new one
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"{path} cannot be written: {_reason(error)}") from None
        raise


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Replace the generated files of ``folder`` by ``files``: all of them, or nothing changes.

    The new folder is built beside the old one and swapped in. A folder that an earlier run wrote holds
    the file ``.schemegen`` with the names it wrote; files that were added since are kept, and any other
    folder that is not empty is left alone.

    Errors: :class:`UsageError` where the folder is not ours or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not _is_ours(folder)):
        raise UsageError(
            f"{folder} exists and was not written by schemegen", "choose another with -o DIR"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {_reason(error)}") from None
    try:
        building.chmod(0o777 & ~_umask())
        for name, content in files.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            (building / name).write_bytes(data)
        (building / MARK).write_text("".join(f"{name}\n" for name in sorted(files)), "utf-8")
        _keep_others(folder, building)
        _swap(building, folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {_reason(error)}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def _keep_others(old: Path, new: Path) -> None:
    """Copy to ``new`` what a user has put into ``old`` beside the files that were written there."""
    if not (old / MARK).is_file():
        return
    written = {MARK, *(old / MARK).read_text("utf-8").splitlines()}
    for item in sorted(old.iterdir()):
        if item.name in written or (new / item.name).exists():
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.copytree(item, new / item.name, symlinks=True)
        else:
            shutil.copy2(item, new / item.name, follow_symlinks=False)


def _swap(new: Path, old: Path) -> None:
    """Put ``new`` in the place of ``old``; what was there comes back if that fails."""
    if not old.exists():
        new.rename(old)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{old.name}.", dir=old.parent))
    old.rename(aside / old.name)
    try:
        new.rename(old)
    except BaseException:
        (aside / old.name).rename(old)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
