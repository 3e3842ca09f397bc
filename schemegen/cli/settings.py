"""Options that hold several things: ``k=0.1``, ``name=module:Class``, ``fx,json``."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

__all__ = ["configured", "listed", "python_blocks", "settings", "written_fields"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z", re.ASCII)

Callback = Callable[[click.Context, click.Parameter, str], tuple[str, ...]]


def listed(known: Sequence[str]) -> Callback:
    """Return a callback that reads ``a,b`` where each word is one of ``known``."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word for word in re.split(r"[\s,]+", value) if word))
        for word in words:
            if word not in known:
                raise click.BadParameter(f"{word!r} is none of {', '.join(known)}", ctx, parameter)
        if value and not words:
            raise click.BadParameter("names nothing", ctx, parameter)
        return words

    return callback


def settings(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Read ``k=0.1`` once a name; the number is left to the language's own parser."""
    return _pairs(ctx, parameter, value, "k=0.1")


def python_blocks(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Read ``name=module:Class`` once a name."""
    pairs = _pairs(ctx, parameter, value, "name=package.module:Class")
    for item in pairs.values():
        if not CLASS.match(item):
            raise click.BadParameter(f"{item!r} is not of the form module:Class", ctx, parameter)
    return pairs


def configured(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Take a file's values as the defaults of the options that are named like them."""
    if value is None:
        return
    names = {}
    for item in ctx.command.params:
        if isinstance(item, click.Option) and item.name not in (None, parameter.name, "help"):
            for option in item.opts:
                names[option.lstrip("-").replace("-", "_")] = item
    chosen = {}
    for key, setting in _read(ctx, parameter, value).items():
        found = names.get(key.replace("-", "_"))
        if found is None:
            raise click.BadParameter(f"{value} sets {key!r}, which is no option", ctx, parameter)
        if isinstance(setting, dict):
            raise click.BadParameter(f"{value} has a table [{key}]", ctx, parameter)
        if setting is not None:
            chosen[str(found.name)] = setting
    ctx.default_map = {**(ctx.default_map or {}), **chosen}


def _read(ctx: click.Context, parameter: click.Parameter, path: Path) -> dict[str, Any]:
    """Return the values of a TOML file, or those under ``config`` of a run's JSON."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)["config"] if path.suffix == ".json" else tomllib.loads(text)
        if not isinstance(found, dict):
            raise ValueError("config is no object")
    except OSError as error:
        raise click.BadParameter(f"no file {path}: {error.strerror}", ctx, parameter) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise click.BadParameter(f"{path} cannot be read: {error}", ctx, parameter) from error
    return found


def written_fields(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Read ``f=y, -x`` for a field by name, or ``y, -x`` alone; the text is left to the language's parser."""
    texts: dict[str, str] = {}
    for item in value:
        name, equals, text = item.partition("=")
        named = bool(equals) and NAME.match(name.strip()) is not None
        key = name.strip() if named else ""
        if key in texts:
            said = f"{key} is given twice" if key else "several fields need names, as f=EXPR"
            raise click.BadParameter(said, ctx, parameter)
        texts[key] = text if named else item
    return texts


def _pairs(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...], example: str
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in value:
        name, equals, text = item.partition("=")
        name, text = name.strip(), text.strip()
        if not equals or not NAME.match(name) or not text:
            raise click.BadParameter(f"{item!r} is not of the form {example}", ctx, parameter)
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice", ctx, parameter)
        pairs[name] = text
    return pairs
