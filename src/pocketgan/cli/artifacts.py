"""``pocketgan inspect``, ``pocketgan convert`` and ``pocketgan export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan import api
from pocketgan.cli.console import Switch, say, show_json, show_table


def inspect(
    model: Annotated[str, tyro.conf.Positional],
    /,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    json: Switch = False,
) -> None:
    """List the channel groups of a generator with widths and costs, and the lower limit of a budget.

    Args:
        model: artifact (.safetensors), published checkpoint, name of `pocketgan models`, or function that makes a generator:
            file.py:factory or package.module:factory.
        multiple: divisor of the widths at the floor.
    """
    from pocketgan.core.inputs import as_shape, size_text
    from pocketgan.foreign.factory import with_weights

    facts = api.inspect(
        with_weights(model, weights), size=size, aspect=aspect, multiple=multiple, keep=keep, range=range, bgr=bgr
    )
    if json:
        show_json(facts)
        return
    say(facts["message"])
    costs = [(name, group["width"] or "", group) for name, group in facts["groups"].items()]
    costs += [(name, "", facts[name]) for name in ("total", "floor")]
    rows = [
        (name, width, f"{cost['params']:,}", f"{cost['macs'] / 1e6:,.1f} M", f"{cost['macs_paper'] / 1e6:,.1f} M")
        for name, width, cost in costs
    ]
    title = f"costs of one {size_text(as_shape(facts['size']))} image, by the group that each layer writes"
    show_table(title, ("group", "width", "parameters", "MACs exact", "MACs paper"), rows)
    for name, reason in facts["kept"].items():
        say(f"stays whole: {name} ({reason})")
    say(f"distilled by default: {', '.join(facts['distilled']) or 'no layer'}")


def convert(
    file: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    config: str | None = None,
    network: str | None = None,
    content: Path | None = None,
    upsamplings: int | None = None,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    size: int | None = None,
    aspect: float | None = None,
    replace: Switch = False,
) -> None:
    """Write a checkpoint or a factory's generator as an artifact, or an artifact under the published names.

    Args:
        file: published checkpoint, artifact (.safetensors), or function that makes a generator: file.py:factory or
            package.module:factory.
        out: file to write: .safetensors for an artifact, .pth for the published names.
        config: widths to prune a supernet to, as published: 24_16_32_16_32_64_16_24.
        network: key of one network in a file of several: G_A.
        content: MUNIT generator whose content encoder replaces that of the first file.
        upsamplings: 5 or 6, for a generator from label maps, whose tensors do not tell.
        replace: overwrite an existing file.
    """
    from pocketgan.foreign.factory import with_weights
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.convert import convert as run

    done = run(
        with_weights(file, weights),
        out,
        foreign=ForeignConfig(keep=keep, range=range, bgr=bgr),
        config=config,
        network=network,
        content=content,
        upsamplings=upsamplings,
        size=size,
        aspect=aspect,
        replace=replace,
    )
    say(done.message)
    say(f"{done.path}: {done.bytes:,} bytes")


def export(
    artifact: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    format: str = "onnx",
    size: int | None = None,
    aspect: float | None = None,
    weights: str | None = None,
    drop_style: Switch = False,
    verify: bool = True,
) -> None:
    """Write a generator for a device and check that the file computes the same images.

    Args:
        artifact: artifact (.safetensors), published checkpoint, or file.py:factory.
        out: file to write.
        format: onnx (any batch, height and width).
        drop_style: leave out the style encoder of a MUNIT; the file then reads styles as latents.
        verify: compare with PyTorch on several sizes, odd ones too, and write nothing if the images differ.
    """
    from pocketgan.foreign.factory import with_weights

    named = with_weights(artifact, weights)
    done = api.export(named, out, format=format, size=size, aspect=aspect, drop_style=drop_style, verify=verify)
    checked = f", at most {done.verification.max_abs_diff:.1e} from PyTorch" if done.verification else ""
    say(f"{done.path}: {done.bytes:,} bytes{checked}")
