"""Quality of street scenes from label maps (CamVid): a SPADE teacher and students at a ninth of its MACs, by mIoU.

python benchmarks/camvid.py CAMVID_FOLDER FEATURES.onnx RUNS_FOLDER [--teacher 1400] [--steps 500] [--segmenter 1000]
    [--methods uniform,cat] [--threads 2] [--out FILE]

The teacher took 31 and two students 42 minutes on one core. CAMVID_FOLDER: {train,val,test}/{images,labels}, labels 0 to 10
and 11 = void. A small segmenter is trained on the real training images (`RUNS_FOLDER/segmenter.onnx`; its mIoU on real test
images is reported, too), then the teacher, then the students. The same command resumes; an existing segmenter is not trained
again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _common import PACKAGES, compare_runs, figures, parse, publish, train_run
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import train_batches
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.training.config import GAUGAN

SIZE, ASPECT, CLASSES = 128, 1.3333, 11
BUDGET = "9x"


class SmallSegmenter(nn.Module):
    """U-Net of three halvings: RGB in [0, 1], N x 3 x 96 x 128 -> logits of 11 classes at the same size."""

    def __init__(self, width: int = 16):
        super().__init__()
        w = [width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(_unit(i, o) for i, o in zip([3, *w[:-1]], w, strict=True))
        self.up = nn.ModuleList(_unit(i, o) for i, o in ((w[3] + w[2], w[2]), (w[2] + w[1], w[1]), (w[1] + w[0], w[0])))
        self.head = nn.Conv2d(w[0], CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        skips = []
        for level, unit in enumerate(self.down):
            x = unit(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for unit, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = unit(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return self.head(x)  # type: ignore[no-any-return]


def _unit(in_channels: int, out_channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]
    return nn.Sequential(*layers)


def data_of(folder: str) -> DataConfig:
    """Data at 128 x 96, cropped from 144 x 108 and mirrored in training."""
    return DataConfig(path=folder, size=SIZE, aspect=ASPECT, load_size=144, flip=True, classes=CLASSES, workers=0)


def train_segmenter(folder: str, steps: int, out: Path) -> None:
    """Train by cross-entropy on the real training images, rare classes weighted up to threefold, and write ONNX."""
    torch.manual_seed(0)
    data = open_data(data_of(folder), "labels", "train")
    assert data.labels is not None
    model = SmallSegmenter()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    counts = torch.ones(CLASSES)
    for step, batch in zip(range(steps), train_batches(data, batch=8, seed=0, workers=0), strict=False):
        target = data.labels.indices(batch["input"])
        counts += torch.bincount(target[target >= 0], minlength=CLASSES)
        weights = (counts.mean() / counts).clamp(max=9).sqrt()
        loss = F.cross_entropy(model((batch["target"] + 1) / 2), target, weights, ignore_index=-1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"segmenter {step}/{steps}: {float(loss.detach()):.3f}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    height = round(SIZE / ASPECT)
    example = torch.zeros(1, 3, height, SIZE)
    torch.onnx.export(model.eval(), (example,), str(out), dynamo=True, external_data=False, verbose=False)


def main() -> None:
    arguments = parse(
        __doc__, "data", "features", "runs", threads=2, teacher=1400, steps=500, segmenter=1000, methods="uniform,cat"
    )
    root, data = Path(arguments.runs), data_of(arguments.data)
    segmenter = root / "segmenter.onnx"
    if not segmenter.exists():
        train_segmenter(arguments.data, arguments.segmenter, segmenter)
    evaluation = EvaluationConfig(features=arguments.features, segmenter=str(segmenter), batch=20)
    training = replace(GAUGAN, batch=4, checkpoint_every=100, sample_every=0)
    recovery = replace(training, lr=4e-4, steps=arguments.steps)  # at GauGAN's rate so short a recovery is incomplete
    teacher = TrainConfig(
        task="labels",
        data=data,
        arch="spade",
        arch_options={"ngf": 16, "upsamplings": 5},
        discriminator_options={"ndf": 32},
        perceptual="pixels",
        training=replace(training, steps=arguments.teacher),
        evaluation=evaluation,
    )
    out = train_run(teacher, root / "teacher")
    base = CompressConfig(
        teacher=str(out / "generator.safetensors"),
        data=data,
        budget=BUDGET,
        task="labels",
        objective="output+features",
        perceptual="pixels",
        recovery=recovery,
        search=replace(training, steps=max(1, arguments.steps // 4)),
        evaluation=evaluation,
    )
    students = CompareConfig(base=base, methods=tuple(arguments.methods.split(",")), budgets=(BUDGET,))
    done, failures = compare_runs(students, root)
    runs = [{**figures(run), "classes": json.loads((run / "result.json").read_text())["student"]["classes"]} for run in done]
    publish(
        "camvid",
        {"failures": failures, "teacher": figures(out), "runs": runs},
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
