"""CamVid: street scenes from label maps. A SPADE teacher, students at a ninth of its MACs, evaluated by a small segmenter's
mIoU.

python benchmarks/camvid.py CAMVID_FOLDER FEATURES.onnx RUNS_FOLDER [--teacher 1400] [--steps 500] [--segmenter 1000]
    [--methods uniform,cat] [--out FILE]

CAMVID_FOLDER: {train,val,test}/{images,labels}, labels 0 to 10 and 11 = void. First a small segmenter is trained on the real
training images (`RUNS_FOLDER/segmenter.onnx`; its mIoU on real test images stands beside every other), then the teacher, then
the students. Resumable: the same command goes on; a segmenter is trained anew only where its file is not there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _common import figures, publish
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import train_batches
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.training.config import GAUGAN
from pocketgan.utils.progress import ConsoleReporter

SIZE, ASPECT, CLASSES = 128, 1.3333, 11
BUDGET = "9x"


class SmallSegmenter(nn.Module):
    """RGB in [0, 1], N x 3 x 96 x 128 -> the scores of 11 classes at the same size: a U-Net of three halvings."""

    def __init__(self, width: int = 16):
        super().__init__()
        w = [width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(_unit(i, o) for i, o in zip([3, *w[:-1]], w, strict=True))
        self.up = nn.ModuleList(_unit(i, o) for i, o in ((w[3] + w[2], w[2]), (w[2] + w[1], w[1]), (w[1] + w[0], w[0])))
        self.head = nn.Conv2d(w[0], CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        kept = []
        for level, unit in enumerate(self.down):
            x = unit(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        for unit, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = unit(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return self.head(x)  # type: ignore[no-any-return]


def _unit(reads: int, writes: int) -> nn.Module:
    layers = [nn.Conv2d(reads, writes, 3, padding=1, bias=False), nn.BatchNorm2d(writes), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(writes, writes, 3, padding=1, bias=False), nn.BatchNorm2d(writes), nn.ReLU())


def data_of(folder: str) -> DataConfig:
    """128 x 96, cropped from 144 x 108 and mirrored in training."""
    return DataConfig(path=folder, size=SIZE, aspect=ASPECT, load_size=144, flip=True, classes=CLASSES, workers=0)


def train_segmenter(folder: str, steps: int, out: Path) -> None:
    """Cross-entropy on the real training images, rare classes weighted up to threefold; written as ONNX."""
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
    """Run what is not yet done, and publish all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "features", "runs"):
        parser.add_argument(name)
    parser.add_argument("--teacher", type=int, default=1400)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--segmenter", type=int, default=1000)
    parser.add_argument("--methods", default="uniform,cat")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root, data = Path(arguments.runs), data_of(arguments.data)
    segmenter = root / "segmenter.onnx"
    if not segmenter.exists():
        train_segmenter(arguments.data, arguments.segmenter, segmenter)
    evaluation = EvaluationConfig(features=arguments.features, segmenter=str(segmenter), batch=20)
    fit = replace(GAUGAN, batch=4, checkpoint_every=100, sample_every=0)
    student = replace(fit, lr=4e-4)  # its run is short: at GauGAN's rate it has not recovered from the cut by the end
    teacher = TrainConfig(
        task="labels",
        data=data,
        arch="spade",
        arch_options={"ngf": 16, "upsamplings": 5},
        discriminator_options={"ndf": 32},
        perceptual="pixels",
        training=replace(fit, steps=arguments.teacher),
        evaluation=evaluation,
    )
    out = root / "teacher"
    train(teacher, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
    base = CompressConfig(
        teacher=str(out / "generator.safetensors"),
        data=data,
        budget=BUDGET,
        task="labels",
        objective="output+features",
        perceptual="pixels",
        recovery=replace(student, steps=arguments.steps),
        search=replace(fit, steps=max(1, arguments.steps // 4)),
        evaluation=evaluation,
    )
    students = CompareConfig(base=base, methods=tuple(arguments.methods.split(",")), budgets=(BUDGET,))
    done, failures = compare(students, root, resume=(root / "config.json").exists(), reporter=ConsoleReporter())
    runs = [{**figures(run), "classes": json.loads((run / "result.json").read_text())["student"]["classes"]} for run in done]
    publish(
        "camvid",
        {"failures": failures, "teacher": figures(out), "runs": runs},
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
