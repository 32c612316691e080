"""Images from random numbers: SAGAN on faces and StyleGAN2 on CIFAR-10, with DMAD students (Li et al., table I).

pocketgan recipes celeba-teacher --out runs/celeba
pocketgan recipes dmad-celeba --out runs/dmad-celeba
pocketgan recipes cifar10-teacher --out runs/cifar10
pocketgan recipes dmad-cifar10 --out runs/dmad-cifar10

NAME-teacher goes to runs/NAME: there the students' recipes look for it. CelebA's aligned faces (178 x 218) go to
datasets/celeba; `center=160` is the square that GCC cuts out of each before it scales that to 64 x 64. `cats64` is the same
task on a folder of any faces of 64 x 64, datasets/cats64. CIFAR-10's images go to datasets/cifar10, as files.

| generator | parameters (M) | exact MACs (M) | the literature's count (M) | published as |
|---|---|---|---|---|
| SAGAN 64 x 64, n = 64 | 3.833 | 200.3 (a) | 527.6 | 30.8 K, 23.45 M (b) |
| SAGAN 64 x 64, n = 48 | 2.354 | 129.4 | 318.2 | 17.3 K, 15.46 M (c) |
| StyleGAN2 32 x 32, `cifar` | 19.948 | 4019.7 | 6669.2 | 2.57 M, 11.54 M (d) |

(a) 115.3 of its convolutions alone (442.5 in the literature's count), the rest of the products of attention. (b) An artifact of
a counter, GCC's and DMAD's: it never entered the wrapper of spectral norm, so it missed the four largest layers, and the
products of attention. The 1 x 1 convolutions of attention, the last layer and the batch norms are 23,449,600 and 30,835. (c)
What n = 48 comes to under that counter is 15.62 M and 18.3 K, so DMAD's student is about 0.75 times as wide as its teacher. The
published 1.5x says nothing of that network's cost; in fact it is 1.5x by chance. (d) No code was ever published, so this
cannot be checked. The stock generator has 350 times as many MACs; with `channel_base=1024` it has 2.42 M parameters, and still
54 M MACs.

Published figures, not reproduced here:

| recipe | budget, exact MACs | published for it | FID | of the original |
|---|---|---|---|---|
| dmad-celeba | 1.5x | 15.46 M (1.5x), 17.3 K (1.8x) | 34.97 | 28.34 (e) |
| dmad-celeba-4x | 4x | - | - | - |
| dmad-cats64 | 1.5x | - | - | - |
| dmad-cats64-4x | 4x | - | - | - |
| dmad-cifar10 | 1.9x | 6.12 M (1.9x), 1.12 M (2.3x) | 37.57 | 37.12 (f) |

(e) In GCC 24.87 (as remembered, not verified), of a tenth as many images as the data has; so many are generated here, too,
where `evaluation.features` names a network to measure by. (f) Far from what stylegan2-ada reports for `cifar`: a single digit.

What was published, and what is here:
- Teachers: SAGAN as GCC's script (100 epochs of batch 64, 1e-4 and 4e-4, hinge, no decay); whether faces were mirrored is not
  known, here they are not. StyleGAN2 as `cifar` of stylegan2-ada-pytorch: 100 million images in batches of 64, R1 of 0.01,
  neither path length nor mixing, adaptive augmentation to 0.6, a discriminator without residuals, groups of 32. It lets the
  running mean of the weights begin shorter and become as long, keeps the largest maps in half precision and clamps them at 256;
  here the mean is as long from the start, and nothing is clamped.
- DMAD's weights are the paper's (section IV-A): 10 for co-attention, 1e-4 for the discriminator's features, 0.001 for the
  sparsity, which is where the steered strength begins (`--preset paper` of `compress` has a constant one). Here L1 to the
  teacher's image of the same numbers is added, with the task's 10.
- How long DMAD searched and recovered here is not said: each is as long as the teacher's training. For less: `search.epochs=20
  recovery.epochs=50` (of CIFAR-10 `search.steps` and `recovery.steps`).
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.tasks import LatentConfig
from pocketgan.training.config import SAGAN, STYLEGAN2

FACES = 202_599
"""Of CelebA."""


@RECIPES.register("celeba-teacher")
def celeba_teacher() -> TrainConfig:
    """SAGAN, 64 x 64 faces of CelebA: n = 64, batch 64, 100 epochs, hinge, two learning rates, spectral norm in both."""
    data = DataConfig(path="datasets/celeba", size=64, center=160)
    return _sagan(data, EvaluationConfig(generated=FACES // 10))


@RECIPES.register("cats64-teacher")
def cats64_teacher() -> TrainConfig:
    """SAGAN, a folder of 64 x 64 faces of cats: else as celeba-teacher."""
    return _sagan(DataConfig(path="datasets/cats64", size=64), EvaluationConfig())


@RECIPES.register("cifar10-teacher")
def cifar10_teacher() -> TrainConfig:
    """StyleGAN2, CIFAR-10 without classes: `cifar` of stylegan2-ada, batch 64, 100 million images, augmented to 0.6."""
    images, batch, widths = 100_000_000, 64, {"channel_base": 32768}
    return TrainConfig(
        task="unconditional",
        data=DataConfig(path="datasets/cifar10", size=32),
        arch="stylegan2",
        arch_options={**widths, "mapping": 2},
        discriminator_options={**widths, "residual": False, "batch_group": 32},
        latents=LatentConfig(r1=0.01, average=500.0, augment=0.6),
        training=replace(STYLEGAN2, steps=images // batch, batch=batch, checkpoint_every=2000),
        evaluation=EvaluationConfig(generated=50_000),
    )


@RECIPES.register("dmad-celeba")
def celeba() -> CompressConfig:
    """DMAD, faces of CelebA: SAGAN to 1.5 times fewer exact MACs, 100 + 100 epochs."""
    return _dmad("celeba", celeba_teacher(), "1.5x")


@RECIPES.register("dmad-celeba-4x")
def celeba_4x() -> CompressConfig:
    """DMAD, faces of CelebA: SAGAN to 4 times fewer exact MACs, 100 + 100 epochs."""
    return _dmad("celeba", celeba_teacher(), "4x")


@RECIPES.register("dmad-cats64")
def cats64() -> CompressConfig:
    """DMAD, faces of cats: SAGAN to 1.5 times fewer exact MACs, 100 + 100 epochs."""
    return _dmad("cats64", cats64_teacher(), "1.5x")


@RECIPES.register("dmad-cats64-4x")
def cats64_4x() -> CompressConfig:
    """DMAD, faces of cats: SAGAN to 4 times fewer exact MACs, 100 + 100 epochs."""
    return _dmad("cats64", cats64_teacher(), "4x")


@RECIPES.register("dmad-cifar10")
def cifar10() -> CompressConfig:
    """DMAD, CIFAR-10: StyleGAN2 to 1.9 times fewer exact MACs, 100 + 100 million images."""
    return _dmad("cifar10", cifar10_teacher(), "1.9x")


def _sagan(data: DataConfig, evaluation: EvaluationConfig) -> TrainConfig:
    return TrainConfig(
        task="unconditional",
        data=data,
        arch="sagan",
        arch_options={"ngf": 64},
        discriminator_options={"ndf": 64},
        training=replace(SAGAN, epochs=100, batch=64, checkpoint_every=2000),
        evaluation=evaluation,
    )


def _dmad(name: str, teacher: TrainConfig, budget: str) -> CompressConfig:
    """The student of a teacher, which goes on with its task."""
    fit = replace(teacher.training, weights={"coattention": 10.0, "discriminator": 1e-4})
    return CompressConfig(
        teacher=f"runs/{name}/generator.safetensors",
        data=teacher.data,
        budget=budget,
        task="unconditional",
        method="dmad",
        method_options={"strength": 0.001},
        objective="coattention+discriminator",
        latents=teacher.latents,
        recovery=fit,
        search=fit,
        evaluation=teacher.evaluation,
    )
