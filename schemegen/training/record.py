"""``run.json``: everything that is needed to repeat a run, and nothing that differs between two equal ones."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from schemegen.training.data import Data, FolderData
from schemegen.training.engine import Engine
from schemegen.training.subject import Subject

__all__ = ["record"]

LIBRARIES = (
    "schemegen",
    "torch",
    "accelerate",
    "numpy",
    "safetensors",
    "scikit-learn",
    "torchvision",
)


def record(subject: Subject, engine: Engine, data: Data | FolderData) -> str:
    """Return the text of ``run.json``: versions, settings, texts with their hashes, data, device and processes.

    ``config`` holds the options of ``schemegen train``, which reads them back with ``--config run.json``.
    """
    config = engine.config.recorded()
    origin = getattr(subject.model, "meta", {}).get("origin", {})
    if "backprop" in origin:
        config["backprop"] = origin["backprop"]
    content = {
        "format": "schemegen-run-1",
        "config": config,
        "scheme": _text(subject.scheme.name, subject.scheme.source.text),
        "network": _text(subject.network.name, subject.network.source.text)
        | {"parameters": sum(item.numel() for item in subject.model.parameters())},
        "data": _data(data),
        "device": _device(engine.device),
        "processes": engine.share.world,
        "sharded": engine.sharded,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {name: found for name in LIBRARIES if (found := _version(name)) is not None},
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _text(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}


def _data(data: Data | FolderData) -> dict[str, Any]:
    """Return the facts of a data set and a hash: of its images and labels, of a folder the names of its files."""
    digest = hashlib.sha256()
    if isinstance(data, FolderData):
        for images in (data.train, data.test):
            for path, label in images.samples:
                digest.update(f"{Path(path).name} {label}\n".encode())
    else:
        for part in (data.train_images, data.train_labels, data.test_images, data.test_labels):
            digest.update(part.cpu().contiguous().numpy().tobytes())
    return {
        "name": data.name,
        "classes": data.classes,
        "shape": list(data.shape),
        "train": len(data.train_labels),
        "test": len(data.test_labels),
        "sha256": digest.hexdigest(),
    }


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
