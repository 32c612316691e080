"""CAT as published (Jin et al. 2021): inception teachers, pruned in one step to the budget, trained anew by kernel alignment.

pocketgan recipes horse2zebra-inception-teacher --out runs/horse2zebra-inception
pocketgan recipes cat-horse2zebra --out runs/cat-horse2zebra

zebra2horse is the other direction of the data of horse2zebra, from a separate CycleGAN: generator_B of the teacher's run,
direction BtoA. Label maps are in the folders of gaugan.py; `evaluation.segmenter=drn-d-105` adds mIoU.

| teacher | parameters (M) | exact MACs (G) | the literature's count (G) |
|---|---|---|---|
| inception-9, ngf 64, instance norm with scales, 256 x 256 | 8.15 | 36.24 | 43.53 |
| inception-9, ngf 64, batch norm, 256 x 256 | 8.14 | 36.24 | 43.53 (the released counter: 43.49) |
| inception SPADE, ngf 64, 512 x 256 | 55.59 | 109.77 | 109.89 (the released counter: 109.77) |

Published figures, not reproduced here; MACs in the literature's count (Gpaper). The original is CycleGAN's or pix2pix's
ResNet-9 of 56.8 G, or GauGAN of 281 G, as that paper measured it:

| recipe | budget (G) | MACs (G) | metric | of the original |
|---|---|---|---|---|
| cat-horse2zebra | 2.6 | 2.55 (a) | FID 60.18 (a) | 61.5 (a; 61.53 b) |
| cat-zebra2horse | 2.6 | 2.59 (b) | FID 142.68 (b) | 148.81 (b) |
| cat-maps | 4.6 | 4.59 (b) | FID 48.63 (b) | 47.76 (b) |
| cat-cityscapes | 5.6 | 5.57 (a) | mIoU 42.53 (a) | 42.06 (b) |
| cat-gaugan-cityscapes | 30 | 29.9 (b) | mIoU 62.35 (b) | 62.18 (b) |
| cat-gaugan-cityscapes-small | 5.6 | 5.52 (b) | mIoU 54.71 (b) | 62.18 (b) |

(a) Measured in the published plot, to about 0.2; the figures of the student are quoted elsewhere, too. (b) As remembered, not
verified: the text of the paper was not available. DMAD measures 74.04 for the same original of horse2zebra, so rows of
different papers cannot be compared.

Settings: the released scripts. Adam 2e-4 (0.5, 0.999); load size 286, mirrored; the seed of the scripts is 233 (`seed=233`).

Compared with the published work:
- Weights. The architecture is the teacher's, pruned; the released code then initializes it anew, except for affine instance
  norms, which keep the teacher's scales. Here all weights are fresh; `weights=inherit` keeps the weights of the kept channels.
- Kernel alignment. Each of four GPUs compared its 20 images and the results were summed, so that the effective weight is four
  times the script's: 4, 0.4, 5.2 and 2. Those are the weights here, and 80 images are compared.
  GauGAN's scripts take the mean over GPUs: 0.5.
- Batches of 80 are the scripts', for four GPUs. Batch norm was each GPU's own; here it is the whole batch's. With fewer
  images (`recovery.batch=16`) the alignment is noisier; the minimum is 2.
- The norm of zebra2horse has no running statistics and uses those of the batch at inference. Here they are tracked, so that
  the output depends on one input alone and the network can be exported.
- The SPADE teacher was trained with leaky ReLUs (0.01) and distilled with plain ones. Here both have plain ones.
- map -> aerial: the weight of L1 is 10 for the teacher and 100 for the student, as in the scripts.
- The minimum width of groups that cannot be removed is 16, and 256 for the trunk of SPADE (16 in units of ngf). The threshold
  is exact, where the released bisection ends 0.05 to 2 % below the budget.
- Published teachers and students were the best of many evaluations on the test set. Here they are those of the last step.
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Direction
from pocketgan.models.layers import Norm
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes.base import GAN, RECIPES, augmented, register, schedule, student_of
from pocketgan.recipes.gaugan import STREETS, spade_teacher
from pocketgan.training.config import GAUGAN

GPUS = 4
"""GPUs of the released scripts, over which the alignment was summed."""


def _translation(
    name: str,
    title: str,
    data: DataConfig,
    *,
    epochs: tuple[int, int],
    budget: str,
    alignment: float,
    teacher_l1: float | None = None,
    norm: Norm = "batch",
    direction: Direction | None = None,
) -> None:
    """Register teacher and student of a translation: of a CycleGAN if ``teacher_l1`` is None, else of a pix2pix.

    ``epochs`` are those at the full learning rate and of its decay, ``budget`` is in G in the literature's count,
    ``alignment`` is the weight of the kernel alignment in the script, and ``norm`` is that of generators and discriminators.
    ``direction`` is the student's, if not that of the data.
    """
    task: TaskName = "unpaired" if teacher_l1 is None else "paired"
    l1 = 5.0 if teacher_l1 is None else 100.0

    def teacher() -> TrainConfig:
        return TrainConfig(
            task=task,
            data=data,
            arch="inception",
            arch_options={"ngf": 64, "norm": norm},
            discriminator_options={"ndf": 128 if traits_of(task).has_pairs else 64, "norm": norm},
            gan=GAN[task],
            training=schedule(*epochs, batch=32, weights={} if teacher_l1 is None else {"l1": teacher_l1}),
        )

    def student() -> CompressConfig:
        return student_of(
            f"{name}-inception",
            f"{budget}Gpaper",
            direction=direction,
            method="cat",
            objective="kernel-alignment",
            weights="fresh",
            gan=GAN[task],
            recovery=schedule(*epochs, batch=80, weights={"l1": l1, "kernel-alignment": GPUS * alignment}),
        )

    summary = f"CAT's teacher, {title}: inception-9, {norm} norm, batch 32, {epochs[0]} + {epochs[1]} epochs."
    register(f"{name}-inception-teacher", summary, teacher)
    summary = f"CAT, {title}: inception-9 to {budget} G in the literature's count, batch 80, fresh weights."
    register(f"cat-{name}", summary, student)


_HORSES, _MAPS, _LABELS = augmented("horse2zebra"), augmented("maps", "BtoA"), augmented("cityscapes", "BtoA")
_translation("horse2zebra", "horses -> zebras", _HORSES, epochs=(500, 500), budget="2.6", alignment=1.0, norm="instance_affine")
_translation("zebra2horse", "zebras -> horses", _HORSES, epochs=(500, 500), budget="2.6", alignment=0.1, direction="BtoA")
_translation("maps", "map -> aerial photo", _MAPS, epochs=(500, 1000), budget="4.6", alignment=1.3, teacher_l1=10.0)
_translation("cityscapes", "labels -> streets", _LABELS, epochs=(500, 750), budget="5.6", alignment=0.5, teacher_l1=100.0)


@RECIPES.register("gaugan-cityscapes-inception-teacher")
def gaugan_teacher() -> TrainConfig:
    """CAT's teacher, GauGAN, labels -> streets: inception SPADE, batch 16, 100 + 100 epochs, two discriminators of ndf 64."""
    return spade_teacher(STREETS, schedule(100, 100, batch=16, optimizer=GAUGAN), upsamplings=6, arch="inception-spade")


@RECIPES.register("cat-gaugan-cityscapes")
def gaugan() -> CompressConfig:
    """CAT-A, GauGAN, labels -> streets: inception SPADE to 30 G in the literature's count, batch 16, fresh weights."""
    return student_of(
        "gaugan-cityscapes-inception",
        "30Gpaper",
        method="cat",
        method_options={"lower_bound": 256},
        objective="kernel-alignment",
        weights="fresh",
        recovery=replace(gaugan_teacher().training, weights={"kernel-alignment": 0.5}),
    )


@RECIPES.register("cat-gaugan-cityscapes-small")
def gaugan_small() -> CompressConfig:
    """CAT-B, GauGAN, labels -> streets: inception SPADE to 5.6 G in the literature's count; otherwise as CAT-A."""
    return replace(gaugan(), budget="5.6Gpaper")
