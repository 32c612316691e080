"""Images from latents: SAGAN on faces and StyleGAN2 on CIFAR-10, with DMAD students (Li et al., table I).

pocketgan recipes celeba-teacher --out runs/celeba
pocketgan recipes dmad-celeba --out runs/dmad-celeba
pocketgan recipes cifar10-teacher --out runs/cifar10
pocketgan recipes dmad-cifar10 --out runs/dmad-cifar10

CelebA's aligned faces (178 x 218) go to datasets/celeba; `center=160` is the square that GCC crops from each before scaling
to 64 x 64. `cats64` is the same task on a folder of any faces of 64 x 64, datasets/cats64. CIFAR-10's images go to
datasets/cifar10, as files.

| generator | parameters (M) | exact MACs (M) | the literature's count (M) | published as |
|---|---|---|---|---|
| SAGAN 64 x 64, n = 64 | 3.833 | 200.3 (a) | 527.6 | 30.8 K, 23.45 M (b) |
| SAGAN 64 x 64, n = 48 | 2.354 | 129.4 | 318.2 | 17.3 K, 15.46 M (c) |
| StyleGAN2 32 x 32, `cifar` | 19.948 | 4019.7 | 6669.2 | 2.57 M, 11.54 M (d) |

(a) 115.3 of its convolutions alone (442.5 in the literature's count), the rest of the products of attention. (b) An artifact
of a counter, GCC's and DMAD's: it never entered the wrapper of spectral norm, so it missed the four largest layers, and the
products of attention. The 1 x 1 convolutions of attention, the last layer and the batch norms are 23,449,600 and 30,835. (c)
What n = 48 comes to under that counter is 15.62 M and 18.3 K, so DMAD's student is about 0.75 times as wide as its teacher.
The published 1.5x says nothing of that network's cost; in fact it is 1.5x by chance. (d) No code was ever published, so this
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

(e) In GCC 24.87 (as remembered, not verified), with a tenth as many images as the data has; as many are generated here, too,
where `evaluation.features` names a feature extractor. (f) Far from what stylegan2-ada reports for `cifar`: a single digit.

Compared with the published work:
- Teachers: SAGAN as GCC's script (100 epochs of batch 64, 1e-4 and 4e-4, hinge, no decay); whether faces were mirrored is not
  known, here they are not. StyleGAN2 as `cifar` of stylegan2-ada-pytorch: 100 million images in batches of 64, R1 of 0.01,
  neither path length nor mixing, adaptive augmentation to 0.6, a discriminator without residuals, groups of 32. It lets the
  running mean of the weights begin shorter and become as long, keeps the largest maps in half precision and clamps them at
  256; here the mean is as long from the start, and nothing is clamped.
- DMAD's weights are the paper's (section IV-A): 10 for co-attention, 1e-4 for the discriminator's features, 0.001 for the
  sparsity, which is where the steered strength begins (`--preset paper` of `compress` has a constant one). Here the L1
  distance to the teacher's image of the same latents is added, with the task's weight of 10.
- The length of DMAD's search and recovery was not published: each is as long as the teacher's training. For less:
  `search.epochs=20 recovery.epochs=50` (of CIFAR-10 `search.steps` and `recovery.steps`).
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.recipes.dmad import register_student
from pocketgan.tasks import LatentConfig
from pocketgan.training.config import SAGAN, STYLEGAN2

FACES = 202_599
"""Number of images of CelebA."""


@RECIPES.register("celeba-teacher")
def celeba_teacher() -> TrainConfig:
    """SAGAN, 64 x 64 faces of CelebA: n = 64, batch 64, 100 epochs, hinge, two learning rates, spectral norm in both."""
    return TrainConfig(
        task="unconditional",
        data=DataConfig(path="datasets/celeba", size=64, center=160),
        arch="sagan",
        arch_options={"ngf": 64},
        discriminator_options={"ndf": 64},
        training=replace(SAGAN, epochs=100, batch=64, checkpoint_every=2000),
        evaluation=EvaluationConfig(generated=FACES // 10),
    )


@RECIPES.register("cats64-teacher")
def cats64_teacher() -> TrainConfig:
    """SAGAN, a folder of 64 x 64 faces of cats: otherwise as celeba-teacher."""
    return replace(celeba_teacher(), data=DataConfig(path="datasets/cats64", size=64), evaluation=EvaluationConfig())


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


for _name, _teacher, _network, _ratio, _length in (
    ("celeba", "celeba", "faces of CelebA: SAGAN", "1.5", "100 + 100 epochs"),
    ("celeba-4x", "celeba", "faces of CelebA: SAGAN", "4", "100 + 100 epochs"),
    ("cats64", "cats64", "faces of cats: SAGAN", "1.5", "100 + 100 epochs"),
    ("cats64-4x", "cats64", "faces of cats: SAGAN", "4", "100 + 100 epochs"),
    ("cifar10", "cifar10", "CIFAR-10: StyleGAN2", "1.9", "100 + 100 million images"),
):
    register_student(
        _name,
        f"{_network} to {_ratio} times fewer exact MACs, {_length}",
        _teacher,
        f"{_ratio}x",
        weights={"coattention": 10.0, "discriminator": 1e-4},
        method_options={"strength": 0.001},
        objective="coattention+discriminator",
    )
