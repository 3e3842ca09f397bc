"""Train the network of a scheme: ``python zoo/train.py rk2 --data digits``.

The scheme is a name of the zoo or a path. The work is in ``schemegen.training``; copy this file and change it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from schemegen.diagnostics import SchemeError, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the command line; what is left out is the data set's usual setting."""
    new = argparse.ArgumentParser(prog="train.py", description=__doc__.splitlines()[0])
    new.add_argument("scheme", help="a scheme of the zoo (rk2) or a file (mine.scheme)")
    new.add_argument("--network", help="a network of the file or the zoo, or a path")
    new.add_argument("--data", help="digits, glyphs, glyphs36, glyphs62, cifar10, cifar100, folder")
    new.add_argument("--recipe", help="a paper's settings, as lu2018-cifar10")
    new.add_argument("--data-dir", type=Path, default=Path("data"), help="where data sets are")
    new.add_argument("--download", action="store_true", help="fetch the data set if it is missing")
    new.add_argument("--output", type=Path, help="folder to write to, else runs/SCHEME")
    new.add_argument("--resume", action="store_true", help="continue from OUTPUT/last.safetensors")
    new.add_argument("--force", action="store_true", help="resume from another scheme's checkpoint")
    new.add_argument("--epochs", type=int)
    new.add_argument("--batch-size", type=int)
    new.add_argument("--lr", type=float)
    new.add_argument("--momentum", type=float)
    new.add_argument("--weight-decay", type=float)
    new.add_argument("--schedule", help="cosine or step")
    new.add_argument("--warmup", type=int, metavar="EPOCHS")
    new.add_argument("--no-augment", dest="augment", action="store_false")
    new.add_argument("--seed", type=int, default=0)
    new.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    new.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    new.add_argument("--compile", action="store_true", help="torch.compile the network")
    new.add_argument(
        "--backprop", default="store", help="store, checkpoint=K, reversible, memory=MIB or auto"
    )
    new.add_argument("--deterministic", action="store_true", help="repeatable kernels everywhere")
    new.add_argument("--quiet", dest="progress", action="store_false", help="only the last line")
    return new


def train(arguments: argparse.Namespace) -> None:
    """Compile the scheme, train its network and print the test accuracy."""
    import torch

    from schemegen.backends import with_batch
    from schemegen.pipeline import emit, prepare
    from schemegen.render import render_text
    from schemegen.selection import source_of
    from schemegen.training import NETWORKS, Subject, recipe
    from schemegen.training import train as run

    settings = vars(arguments).copy()
    scheme, network = settings.pop("scheme"), settings.pop("network")
    backprop = settings.pop("backprop")
    name = Path(scheme).stem
    settings["output"] = settings["output"] or Path("runs") / name
    config = recipe(**settings)
    units = prepare(source_of(scheme), network=network or NETWORKS.get(config.data))
    if len(units) != 1:
        names = ", ".join(unit.scheme.name for unit in units)
        raise UsageError(f"{scheme} declares {len(units)} schemes: {names}", "keep one in the file")
    [unit] = units
    if unit.diagnostics and config.progress:
        print(render_text(unit.diagnostics), file=sys.stderr)
    assert unit.network is not None
    how = with_batch(backprop, config.batch_size)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.amp):
        model = emit(unit, seed=config.seed, backprop=how)
    result = run(Subject(model, unit.scheme, unit.network), config)
    print(result.summary())


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a wrong scheme, 2 for a wrong command, 130 when interrupted."""
    arguments = parser().parse_args(argv)
    try:
        train(arguments)
    except SchemeError as error:
        from schemegen.render import render_text

        print(render_text(error.diagnostics), file=sys.stderr)
        return 1
    except UsageError as error:
        code = f"[{error.code}]" if error.code else ""
        advice = f"\n   = help: {error.help}" if error.help else ""
        print(f"error{code}: {error.message}{advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; continue with --resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
