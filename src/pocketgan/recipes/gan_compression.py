"""GAN Compression as published (Li et al. 2020): a supernet and a search in it, by the full pipeline and by the fast one.

pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes gan-compression-horse2zebra --out runs/gan-compression-horse2zebra
pocketgan recipes gan-compression-horse2zebra-fast --out runs/gan-compression-horse2zebra-fast

The full pipeline trains a mobile teacher, distills a narrower network from it, trains that as a supernet, and scores every
configuration within the budget. In the fast pipeline (`-fast`) the dense teacher is distilled into a supernet with fresh
weights, which is searched by evolution. `compress` does the same, can stop after a stage (`--to`), and can repeat a stage
(`--from prune` with another `--budget` searches the same supernet for another network):

pocketgan compress runs/horse2zebra/generator_A.safetensors --data datasets/horse2zebra --task unpaired --budget 2.6Gpaper \
--pipeline full --method gan-compression --objective features --gan lsgan --epochs 200 --batch 1 --out runs/full \
--weights inherit cache=0 data.load_size=286 data.flip=true full.discriminator_options.ndf=64 full.importance=l1 \
search.epochs=400 recovery.epochs=null recovery.steps=0 \
'search.weights={"l1":10,"features":0.01}' 'full.distill.weights={"l1":10,"features":0.01}' \
'method_options={"space":"channels-32","importance":"l1","strategy":"brute-force","candidates":6561,"images":120}' \
method_options.use=0 method_options.halving=false method_options.evaluate_every=20000

Published figures (README of the authors' code), not reproduced here; MACs in the literature's count (Gpaper). Retrained: the
full pipeline by the released code; paper: the networks of the paper; fast: the fast pipeline.

| recipe | row | configuration | MACs (G) | parameters (M) | quality | of the original |
|---|---|---|---|---|---|---|
| gan-compression-horse2zebra | retrained | 16_16_32_16_32_32_16_16 | 2.55 | 0.357 | FID 65.12 | 65.75 |
| gan-compression-horse2zebra | paper (a) | 24_24_24_32_20_16 | 2.67 | 0.342 | FID 65.33 | 65.75 |
| gan-compression-horse2zebra-fast | fast | 16_16_24_16_32_64_16_24 | 2.64 | 0.355 | FID 65.19 | 65.75 |
| gan-compression-edges2shoes | retrained | 32_32_48_32_48_48_16_16 | 4.99 | 0.822 | FID 26.70 | 24.12 |
| gan-compression-edges2shoes | paper (a, b) | 32_32_40_48_16_32 | 4.81 | 0.700 | FID 26.60 | 24.12 |
| gan-compression-edges2shoes-fast | fast (c) | 24_24_40_56_24_56_16_40 | 4.83 | 0.703 | FID 25.76 | 24.12 |
| gan-compression-cityscapes | retrained | 32_32_48_32_32_48_24_24 | 5.59 | 0.781 | mIoU 38.63 | 42.06 |
| gan-compression-cityscapes | paper (a) | 48_32_40_40_24_32 | 5.66 | 0.707 | mIoU 40.77 | 42.06 |
| gan-compression-cityscapes-fast | fast (d) | 32_32_48_32_64_40_16_32 | 5.61 | 0.867 | mIoU 41.71 | 42.06 |
| gan-compression-cityscapes-fast | shipped (d) | 16_24_48_56_40_48_24_16 | 5.45 | 0.886 | - | 42.06 |
| gan-compression-maps | retrained | 32_32_48_32_48_32_16_16 | 4.68 | 0.746 | FID 48.02 | 47.91 |
| gan-compression-maps-fast | fast (d) | 32_32_48_40_32_32_16_16 | 4.53 | 0.708 | FID 48.67 | 47.91 |
| gan-compression-maps-fast | shipped (d) | 16_16_40_40_40_64_24_16 | 4.57 | 0.720 | - | 47.91 |

(a) From older code, with one hidden width for all blocks; on horse2zebra (where 20 is not a choice of the space, either) and
on cityscapes above the budget of the recipe. (b) Only the first block of every third has its own hidden width. (c) The only
figure without the cost of norms; 4.86 with them. (d) Stale: these figures are of an earlier model than the shipped one.

Compared with the published work:
- Budgets: those of the evolution are in the scripts. The brute force had none: here it is the retrained network's MACs,
  rounded up.
- `candidates`: brute force is everything within the budget: 2235 networks on horse2zebra, 1111, 2060 and 704 on the others.
  The evolution ran for 500 generations of 100 and converged after about 8; here it has ten, 1000 candidates. All are scored on
  all images; `method_options.halving=true` takes a fifth of the images. `use` is 0, as published: with the default,
  0.9, the fast pipeline's network of horse2zebra would not be a candidate.
- The criterion was FID, on cityscapes mIoU, of networks with inherited weights on as many held-out images as here. Here it is
  the distance to the teacher's images, which needs no pretrained network; `evaluation.features=inception:legacy
  method_options.fitness=frechet` is the published criterion. On cityscapes `evaluation.segmenter=drn-d-105
  evaluation.table=datasets/cityscapes/val_table.txt evaluation.table_root=datasets/cityscapes` measures the mIoU of
  the selected network (docs/cat.md says where its weights are); the recipes of gaugan.py search by mIoU.
- Order of the channels: the full pipeline's mobile teacher was pruned by filter L1 norms, without sorting afterwards. Here it
  is pruned by them, too, and the channels of the distilled network are sorted by them. The fast pipeline sorts nothing.
- The learning rate decays by steps, not by epochs; discriminator and generator alternate, where both gradients of the
  published supernet were computed before either update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pocketgan.core.tasks import traits_of
from pocketgan.pipeline.config import CompressConfig, FullConfig
from pocketgan.recipes.base import GAN, register, schedule, student_of
from pocketgan.training.config import TrainingConfig

SIZES = {"channels-32": 6561, "channels-48": 5184}
"""Number of configurations of the spaces that are searched by brute force."""


def brute_force(candidates: int) -> dict[str, Any]:
    """Options of the method for the search of the full pipeline."""
    return {"importance": "l1", "strategy": "brute-force", "candidates": candidates}


def evolution(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the method for the search of the fast pipeline; ``options`` are those of the strategy."""
    return {"importance": "none", "strategy": "evolution", "strategy_options": options, "candidates": 1000}


def register_students(
    teacher: str,
    title: str,
    *,
    training: TrainingConfig,
    weights: dict[str, float],
    supernet: tuple[TrainingConfig, TrainingConfig],
    spaces: tuple[str, str],
    budgets: tuple[str, str],
    search: tuple[dict[str, Any], dict[str, Any]],
    ndf: int,
    width: float,
    ngf: int | None = None,
    fine_tuned: tuple[bool, bool] = (True, True),
    pipelines: Sequence[str] = ("full", "fast"),
    options: dict[str, Any],
    **fields: Any,
) -> None:
    """Register the students of a teacher by both pipelines; of two values the first is that of the full pipeline.

    ``training`` is that of the full pipeline's mobile teacher, of width ``ngf`` (None: the dense teacher's); the distilled
    network has the part ``width`` of its widths. Students are trained alike, and supernets as ``supernet`` says, with
    ``weights`` of the losses; ``fine_tuned`` is True if the network that the search selected was trained further. ``budgets``
    are MACs in G in the literature's count, ``options`` and ``search`` are options of the method, ``fields`` of the
    configuration.
    """

    for pipeline in pipelines:
        fast = pipeline == "fast"

        def student(fast: bool = fast) -> CompressConfig:
            distillation, discriminator = replace(training, weights=weights), {"ndf": ndf}
            full = FullConfig(
                ngf=ngf,
                discriminator_options=discriminator,
                teacher=training,
                width=width,
                importance="l1",
                distill=distillation,
            )
            return student_of(
                teacher,
                f"{budgets[fast]}Gpaper",
                method="gan-compression",
                method_options={"space": spaces[fast], "use": 0.0, "halving": False, **options, **search[fast]},
                objective="features",
                search=replace(supernet[fast], weights=weights),
                recovery=distillation if fine_tuned[fast] else TrainingConfig(steps=0, batch=training.batch),
                **({"start": "mobile", "discriminator_options": discriminator} if fast else {"pipeline": "full", "full": full}),
                **fields,
            )

        summary = f"GAN Compression, {title}: {pipeline} pipeline, {spaces[fast]}, {budgets[fast]} G in the literature's count."
        register(f"gan-compression-{teacher}{'-fast' if fast else ''}", summary, student)


def _translation(
    teacher: str,
    title: str,
    *,
    epochs: tuple[int, int],
    batch: int = 1,
    l1: float = 100.0,
    features: float = 1.0,
    spaces: tuple[str, str] = ("channels-48", "channels-64-pix2pix"),
    strategy: dict[str, float] | None = None,
    images: int,
    evaluate_every: int = 20_000,
    width: float = 0.5,
    task: str = "paired",
    **fields: Any,
) -> None:
    """Register the students of a pix2pix or CycleGAN teacher.

    ``epochs`` are those at the full learning rate and of its decay; a supernet is trained for twice as many. ``images`` are
    the held-out images of the search; ``evaluate_every`` is ``save_latest_freq`` of the released scripts.
    """
    constant, decaying = epochs
    twice = schedule(2 * constant, 2 * decaying, batch=batch)
    register_students(
        teacher,
        title,
        training=schedule(constant, decaying, batch=batch, weights={"l1": l1} if traits_of(task).has_pairs else {}),
        weights={"l1": l1, "features": features},
        supernet=(twice, twice),
        spaces=spaces,
        search=(brute_force(SIZES[spaces[0]]), evolution(strategy or {"mutation": 0.3})),
        ndf=128 if traits_of(task).has_pairs else 64,
        width=width,
        options={"images": images, "evaluate_every": evaluate_every},
        gan=GAN[task],
        **fields,
    )


_translation(
    "horse2zebra",
    "horses -> zebras",
    epochs=(100, 100),
    l1=10.0,
    features=0.01,
    spaces=("channels-32", "channels-64-cycleGAN"),
    budgets=("2.6", "3.0"),
    fine_tuned=(False, False),
    strategy={"mutation": 0.4, "weight": 2.0},
    images=120,
    task="unpaired",
)
_translation("edges2shoes", "edges -> shoes", epochs=(5, 15), batch=4, width=0.75, budgets=("5.0", "4.9"), images=2048)
_translation(
    "cityscapes",
    "labels -> streets",
    epochs=(100, 150),
    ngf=96,
    budgets=("5.6", "5.7"),
    fine_tuned=(True, False),
    images=200,
    evaluate_every=25_000,
)
_translation(
    "maps", "map -> aerial photo", epochs=(100, 200), l1=10.0, features=0.01, ngf=96, budgets=("4.7", "4.6"), images=300
)
