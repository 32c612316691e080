"""Flags of a command from its function's signature: grouped, with help from the docstring and defaults that state something."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, get_type_hints

import tyro

Command = Callable[..., None]

GROUPS = {
    "image": ("size", "aspect", "center", "direction", "classes"),
    "training": ("steps", "epochs", "batch", "gan"),
    "metric": ("metrics", "features", "reals", "stats", "segmenter", "teacher", "generated"),
    "custom network": ("weights", "keep", "range", "bgr", "network"),
    "run": ("device", "seed", "from_", "to", "resume", "dry_run"),
}
"""Headings of a help page and the optional flags below each; all others come first. One flag alone gets no heading."""

SHARED_HELP = {
    "artifact": "artifact (.safetensors), published checkpoint, or file.py:factory.",
    "data": "folder of images in a known layout, or a built-in set: shapes, textures.",
    "targets": "second folder, or pattern in quotes, of the targets, matched to the inputs of --data by name.",
    "task": "paired or labels (targets are the data's), unpaired, inputs, unconditional or multimodal (targets are the"
    " teacher's images); by default what generator and data are made for.",
    "size": "width of the images; by default that in the file of the generator, else 256.",
    "aspect": "width over height; by default that in the file of the generator, else 1.",
    "center": "side of a central square that is cut out of every image first.",
    "direction": "AtoB or BtoA: the first is the input; by default AtoB.",
    "classes": "meaning of the values of label maps, where the folder does not state it: number of classes, file of names,"
    " cityscapes or coco-stuff.",
    "weights": "weights of the factory's generator: an artifact pruned from it, or its own (.safetensors, .pth).",
    "keep": "layers of the factory's generator that stay whole: names or patterns.",
    "range": "values of black and white of the factory's generator: 0..255.",
    "bgr": "blue is the first channel of the factory's generator.",
    "network": "key or prefix of one network in a file of weights with several: params_ema.",
    "steps": "optimizer steps of each training; by default 2000.",
    "epochs": "passes over the data, instead of steps.",
    "batch": "images a step; by default as published for the task.",
    "gan": "adversarial loss; by default lsgan for unpaired and multimodal, vanilla for stylegan2, else hinge.",
    "features": "inception, inception:legacy (FID, KID), or an ONNX file for the Frechet and kernel distances.",
    "device": "auto, cpu, cuda, cuda:1, mps.",
    "seed": "seed of weights, order of images and all else that is random.",
    "resume": "go on with the run in --out; it ends in the same weights as an uninterrupted one.",
    "json": "print one JSON object.",
    "dry_run": "print the resolved configuration and stop.",
}
"""Help of flags that mean the same in several commands; an entry in the docstring of a command replaces it."""

SILENT = ("None", "False", "")
"""Defaults that say nothing: the help text states what happens without the flag."""


def parsed_call(command: Command, prog: str, words: Sequence[str], *, show: bool = True) -> partial[None]:
    """Call of ``command`` with ``words`` parsed into its parameters.

    Args:
        command: function whose positional-only parameters are positional arguments and whose others are flags.
        prog: program name in usage and errors.
        words: arguments after the command's name.
        show: False to print neither help nor parser errors.

    Raises:
        SystemExit: after help (status 0) and for words that are no flags or values (status 2).
    """
    parameters = inspect.signature(command).parameters
    arguments: Any = tyro.cli(
        _arguments(command),
        prog=prog,
        args=words,
        description=help_texts(command)[""],
        console_outputs=show,
        config=(tyro.conf.DisallowNone,),
    )
    values = _flat(arguments)
    positional = [values.pop(name) for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY]
    return partial(command, *positional, **values)


def help_texts(command: Command) -> dict[str, str]:
    """``{parameter: help text}`` from `SHARED_HELP` and the docstring's ``Args``; the empty name has the text above them."""
    head, _, args = (inspect.getdoc(command) or "").partition("\n\nArgs:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", args, re.MULTILINE)
    return SHARED_HELP | {"": head, **{name: re.sub(r"\s+", " ", text) for name, text in entries}}


def headings(command: Command) -> dict[str, str]:
    """``{parameter: heading}`` of the flags of ``command`` that stand in a group of two or more."""
    optional = {name for name, p in inspect.signature(command).parameters.items() if p.default is not p.empty}
    members = {heading: [name for name in names if name in optional] for heading, names in GROUPS.items()}
    return {name: heading for heading, names in members.items() if len(names) > 1 for name in names}


def _arguments(command: Command) -> type:
    """Dataclass of all parameters, with a nested one for each heading."""
    hints, texts, heading_of = get_type_hints(command, include_extras=True), help_texts(command), headings(command)
    own: list[tuple[str, Any, Any]] = []
    nested: dict[str, list[tuple[str, Any, Any]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        metavar = name.upper() if parameter.kind is parameter.POSITIONAL_ONLY and name != "overrides" else None
        details = tyro.conf.arg(help=texts.get(name), metavar=metavar, help_behavior_hint=_default_hint)
        hint: Any = Annotated[hints[name], details]
        default = dataclasses.MISSING if parameter.default is parameter.empty else parameter.default
        fields = nested.setdefault(heading_of[name], []) if name in heading_of else own
        fields.append((name, hint, dataclasses.field(default=default)))
    for heading in GROUPS:
        if heading in nested:
            group = dataclasses.make_dataclass("Group", nested[heading], kw_only=True)
            kind = Annotated[tyro.conf.OmitArgPrefixes[group], tyro.conf.arg(name=heading)]  # type: ignore[valid-type]
            own.append((f"group_{heading.replace(' ', '_')}", kind, dataclasses.field(default_factory=group)))
    return dataclasses.make_dataclass("Arguments", own, kw_only=True)


def _default_hint(default: str) -> str:
    return "" if default in SILENT else f"(default: {default})"


def _flat(arguments: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(arguments):
        value = getattr(arguments, field.name)
        values |= _flat(value) if field.name.startswith("group_") else {field.name: value}
    return values
