"""Make image-to-image GANs small enough to run anywhere, with the pictures still good.

``pocketgan.compress(model, data, budget="10x", out="runs/small")`` is the whole of it; `load` and `inspect` go with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pocketgan.compress as _room  # noqa: F401  (loaded first: else, loaded later, the room would take the function's name)

if TYPE_CHECKING:
    from torch import nn

    from pocketgan.pipeline.compress import Compressed
    from pocketgan.pipeline.config import StudentTask

__all__ = ["compress", "inspect", "load"]


def compress(
    model: str | Path | nn.Module,
    data: str | Path,
    *,
    budget: str = "10x",
    method: str = "magnitude",
    preset: str | None = None,
    out: str | Path,
    task: StudentTask = "paired",
    size: int | None = None,
    aspect: float | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Compressed:
    """Make a small generator from a trained one; measured, exported, verified, with a report in ``out``.

    Args:
        model: an artifact of ours, a published checkpoint, or a network built from one of our specs.
        data: a folder in one of the ecosystem's layouts, or a built-in set: ``shapes``, ``textures``.
        budget: ``2.6G`` exact MACs, ``2.6Gpaper``, ``0.5Mparams``, or ``12x`` fewer exact MACs. Never exceeded.
        method: a name of ``pocketgan methods``.
        preset: published settings of the method, under everything given here: dmad has ``paper`` and ``release``.
        out: the run directory.
        task: ``paired``, ``unpaired`` or ``inputs``.
        size: width of the images; by default what the model's file says, else 256.
        aspect: width over height; by default what the model's file says, else 1.
        resume: go on with the run in ``out``.
        progress: show a bar, or lines where there is no terminal.
        fields: any field of `pocketgan.pipeline.config.CompressConfig`, dotted ones with ``__``: ``fit__steps=4000``.

    Returns:
        The student (CPU, evaluation mode), the measured facts, and the run directory.

    Raises:
        ValueError: before any work, for data, names, budgets and sizes that do not fit.
    """
    from pocketgan.core.config import override
    from pocketgan.core.progress import ConsoleReporter, Reporter
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.compress import compress as run
    from pocketgan.pipeline.config import CompressConfig, assignments, fits_of, with_preset
    from pocketgan.pipeline.sources import as_source

    source = as_source(model)
    width, proportion = source.images(size, aspect)
    name = str(model) if isinstance(model, str | Path) else type(model).__name__
    images = DataConfig(path=str(data), size=width, aspect=proportion)
    config = CompressConfig(teacher=name, data=images, budget=budget, method=method, task=task, **fits_of(task))
    config = with_preset(config, preset, source.model)
    config = override(config, assignments({key.replace("__", "."): value for key, value in fields.items()}))
    reporter = ConsoleReporter() if progress else Reporter()
    return run(config, Path(out), resume=resume, reporter=reporter, teacher=source)


def load(path: str | Path) -> nn.Module:
    """The network in an artifact of ours or in a published checkpoint: CPU, evaluation mode, with its ``.spec``.

    Raises ``ValueError``, saying what it found, for any other file.
    """
    import pocketgan.pipeline  # noqa: F401
    from pocketgan.pipeline.sources import load as read

    return read(path).model


def inspect(model: str | Path | nn.Module, *, size: int | None = None, aspect: float | None = None) -> dict[str, Any]:
    """Groups with widths and costs in both counts, the totals, and the floor that no budget can go below.

    For one image of width ``size`` and width over height ``aspect``: by default what the model's file says, else 256 and 1.
    """
    from torch import nn

    from pocketgan.pipeline.inspect import inspect as look

    return look(model if isinstance(model, nn.Module) else str(model), size=size, aspect=aspect)
