"""Recipes at toy size: built-in data, few steps, few channels."""

from __future__ import annotations

from pathlib import Path

from pocketgan.core.artifact import save_artifact
from pocketgan.core.config import override
from pocketgan.core.spec import MODELS, Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models.layers import plain
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes import RECIPES
from pocketgan.tasks import TASKS

SMALL = (
    *("data.size=32", "data.limit=4", "data.workers=0", "data.load_size=null", "data.center=null", "device=cpu"),
    *('evaluation.runtimes=["torch"]', "evaluation.repeats=1", "evaluation.images=1", "evaluation.generated=4"),
)
LABELS = ("data.size=64", "data.preprocess=resize", "data.classes=null", "perceptual=none", "evaluation.segmenter=null")
SHORT = ("epochs=null", "steps=2", "batch=2")
_RESNET, _SPADE = {"ngf": 8, "blocks": 2}, {"ngf": 4, "upsamplings": 5}
TINY = {
    **dict.fromkeys(("resnet", "mobile-resnet", "inception"), _RESNET),
    **dict.fromkeys(("spade", "inception-spade"), _SPADE),
    "unet": {"ngf": 8, "depth": 4},
    "sagan": {"ngf": 8},
}
"""Options of a tiny generator, by architecture."""
CLASSES = 8
"""Channels of the label maps of the built-in shapes."""


def toy(config: TrainConfig | CompressConfig, *fields: str) -> TrainConfig | CompressConfig:
    """The recipe with built-in data, few steps and few channels."""
    trainings = ("recovery", "search", "full.teacher", "full.distill") if isinstance(config, CompressConfig) else ("training",)
    data = "textures" if config.task == "unpaired" else "shapes"
    short = [f"{training}.{field}" for training in trainings for field in SHORT]
    return override(config, [*SMALL, f"data.path={data}", *(LABELS if config.task == "labels" else ()), *short, *fields])


def teacher_of(config: CompressConfig) -> TrainConfig:
    """Configuration of the recipe that writes the teacher of ``config``, by the path of the teacher."""
    runs, name, _ = Path(config.teacher).parts
    assert runs == "runs"
    teacher = RECIPES[f"{name}-teacher"]()
    assert isinstance(teacher, TrainConfig)
    return teacher


def spec_of_teacher(config: TrainConfig) -> Spec:
    """Spec of the generator that the recipe trains, as its artifact has it."""
    classes = {"cityscapes": 36, "coco-stuff": 184}.get(config.data.classes)  # with edges of instances
    options = config.arch_options if classes is None else {**config.arch_options, "in_channels": classes}
    if config.task == "unconditional":
        options = {**options, "size": config.data.size}
    return plain(MODELS[config.arch](**options))


_COSTS: dict[str, CostModel] = {}


def cost_of(spec: Spec, shape: tuple[int, int]) -> CostModel:
    """Cost model of a network of that spec, made once."""
    key = f"{spec} {shape}"
    if key not in _COSTS:
        _COSTS[key] = CostModel(spec.build(device="meta"), shape)
    return _COSTS[key]


def save_teacher(config: CompressConfig, teacher: TrainConfig | None = None) -> None:
    """Save a tiny teacher of the recipe's architecture and the discriminator beside it, as training leaves them."""
    teacher = teacher or teacher_of(config)
    norm = {key: value for key, value in teacher.arch_options.items() if key == "norm"}
    shape, options = (32, 32), {**TINY[teacher.arch], **norm}
    channels = 6 if config.task == "paired" else 3
    if config.task == "labels":
        shape, options, channels = (32, 64), {**options, "in_channels": CLASSES}, CLASSES + 3
    discriminator = {"ndf": 4, "in_channels": channels}
    if norm := {key: value for key, value in teacher.discriminator_options.items() if key == "norm"}:
        discriminator |= norm
    if config.task == "unconditional":
        options, discriminator = {**options, "size": 32}, {"ndf": 4, "size": 32}
    file = Path(config.teacher)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_artifact(file, plain(MODELS[teacher.arch](**options)).build(), size=shape)
    name = teacher.discriminator or TASKS[teacher.task].defaults_for(teacher.arch).discriminator
    save_artifact(
        file.with_name(file.name.replace("generator", "discriminator")), MODELS[name](**discriminator).build(), size=shape
    )
