"""Training of generated networks: data, loop, metrics and checkpoints.

Nothing here knows where a network comes from: a :class:`Subject` is a module with the scheme and the
network section it was generated from, and :func:`train` follows a :class:`Config`::

    config = recipe("digits", epochs=10, seed=1)
    result = train(Subject(model, scheme, spec), config)
    print(result.summary())
"""

from __future__ import annotations

from schemegen.training.checkpoint import Checkpoint, read_checkpoint, restore
from schemegen.training.config import DATASETS, NETWORKS, Config, recipe
from schemegen.training.curvature import Curvature, curvature_penalty
from schemegen.training.data import Data, FolderData, load_data
from schemegen.training.evaluation import evaluate
from schemegen.training.loader import Loader
from schemegen.training.loop import Result, evaluate_checkpoint, train
from schemegen.training.lyapunov import StepMeasure, lyapunov
from schemegen.training.recipes import RECIPES, Recipe
from schemegen.training.subject import Subject

__all__ = [
    "DATASETS",
    "NETWORKS",
    "RECIPES",
    "Checkpoint",
    "Config",
    "Curvature",
    "Data",
    "FolderData",
    "Loader",
    "Recipe",
    "Result",
    "StepMeasure",
    "Subject",
    "curvature_penalty",
    "evaluate",
    "evaluate_checkpoint",
    "load_data",
    "lyapunov",
    "read_checkpoint",
    "recipe",
    "restore",
    "train",
]
