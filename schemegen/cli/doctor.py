"""``schemegen doctor``: what a bug report and a surprised user need to know of an installation."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from schemegen import __version__, cache
from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.resources import resource_dir

__all__ = ["command"]

CORE = ("lark", "sympy", "python-flint", "networkx", "click", "rich", "torch", "torchvision")

EXTRAS = {
    "train": ("accelerate", "safetensors", "scikit-learn", "tensorboard"),
    "robust": ("foolbox", "pyautoattack"),
    "plot": ("matplotlib",),
    "onnx": ("onnx", "onnxscript"),
}


@click.command("doctor")
@common
@click.pass_obj
def command(console: Console) -> int:
    """Print versions, devices and extras; exit code 1 where a dependency is missing."""
    rows = [
        ("schemegen", __version__),
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
    ]
    versions = {name: version(name) for name in CORE}
    rows += [(name, found or "missing") for name, found in versions.items()]
    for extra, names in EXTRAS.items():
        found = {name: version(name) for name in names}
        missing = [name for name, number in found.items() if number is None]
        text = ", ".join(f"{name} {number}" for name, number in found.items() if number)
        if missing:
            text = f"missing {', '.join(missing)}: {install(extra, missing)}"
        rows.append((f"extra {extra}", text))
    rows.append(("devices", devices() if versions["torch"] else "none without torch"))
    count = sum(1 for _ in (resource_dir("zoo") / "schemes").glob("*.scheme"))
    rows.append(("zoo", f"{count} schemes"))
    rows.append(("cache", str(cache.folder() or "off")))
    width = max(len(name) for name, _ in rows)
    console.out("\n".join(f"{name:<{width}}  {text}" for name, text in rows))
    lacking = [name for name, found in versions.items() if found is None]
    if lacking:
        console.complain(f"missing: {', '.join(lacking)}")
    return 1 if lacking else 0


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def install(extra: str, missing: list[str]) -> str:
    """Return the command that installs what is missing; ONNX is no extra of ours."""
    what = " ".join(missing) if extra == "onnx" else f"'schemegen[{extra}]'"
    return f"pip install {what}"


def devices() -> str:
    """Return the devices that torch sees."""
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [
            f"cuda:{index} {torch.cuda.get_device_name(index)}"
            for index in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ", ".join(names)
