"""The scanned digits that come with scikit-learn."""

from __future__ import annotations

import torch

from schemegen.diagnostics import UsageError
from schemegen.training.images import Data

__all__ = ["digits"]


def digits() -> Data:
    """The 1797 scanned digits of scikit-learn, split 1400 to 397 by one fixed permutation.

    Source: Alpaydin, Kaynak (1998), UCI optical recognition of handwritten digits.
    """
    try:
        from numpy.random import RandomState
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the digits come with scikit-learn, and `{error.name}` is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).long()
    shuffled = torch.from_numpy(RandomState(0).permutation(len(labels)))
    test, train = shuffled[:397], shuffled[397:]
    return Data(
        name="digits",
        classes=10,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        peak=16.0,
        mean=(0.3053,),
        deviation=(0.3760,),
        shift=1,
    )
