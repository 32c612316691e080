"""Small stand-ins of all files that the pages name, made once; each test works in a copy."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from manual import blocks
from PIL import Image
from torch import nn

from inception_weights import pretend
from loopback import Web, serve
from pocketgan.checkpoints import to_published
from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import Size
from pocketgan.core.spec import Spec
from pocketgan.data.config import DataConfig
from pocketgan.data.published import MIRROR
from pocketgan.deploy import TARGETS, Exported
from pocketgan.evaluation import EvaluationConfig
from pocketgan.foreign.factory import load_factory
from pocketgan.models import (
    inception,
    mobile_resnet,
    mobile_spade,
    ms_image,
    multiscale,
    munit,
    patchgan,
    resnet,
    sagan,
    sagan_discriminator,
    spade,
    stylegan2,
)
from pocketgan.pipeline.compress import compress, run_stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.convert import convert
from pocketgan.pipeline.measure import save_statistics
from pocketgan.training.config import TrainingConfig
from quick import quick_exports, quick_plots

SIDE, CLASSES = 32, 11


def write_images(folder: Path, names: tuple[str, ...], size: tuple[int, int]) -> None:
    """Smooth random images."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.as_posix()))
    for name in names:
        coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / name)


def write_labels(root: Path) -> None:
    """Photos with label maps, in a plain folder and in the layout of Cityscapes."""
    for split in ("train", "val"):
        for photos, maps in (
            (f"streets/{split}/images/#.png", f"streets/{split}/labels/#.png"),
            (f"cityscapes-origin/leftImg8bit/{split}/ulm/#_leftImg8bit.png",
             f"cityscapes-origin/gtFine/{split}/ulm/#_gtFine_labelIds.png"),
        ):  # fmt: skip
            photo, labels = root / "datasets" / photos, root / "datasets" / maps
            write_images(photo.parent, tuple(photo.name.replace("#", str(number)) for number in (1, 2)), (2 * SIDE, SIDE))
            labels.parent.mkdir(parents=True)
            for number in (1, 2):
                Image.new("L", (2 * SIDE, SIDE), 7).save(labels.with_name(labels.name.replace("#", str(number))))


def write_features(path: Path) -> None:
    """Feature extractor: the mean color."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    mean = helper.make_node("ReduceMean", ["images", "axes"], ["features"], keepdims=0)
    graph = helper.make_graph([mean], "mean", [images], [features], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def write_identity(path: Path) -> None:
    """An exported generator of any size: the identity."""
    import onnx
    from onnx import TensorProto, helper

    image, output = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3, "h", "w"]) for n in ("image", "output"))
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["output"])], "identity", [image], [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def write_segmenter(path: Path) -> None:
    """Segmenter of eleven classes, one color for each."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    levels = helper.make_tensor_value_info("levels", TensorProto.FLOAT, ["n", 3, "h", "w"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", CLASSES, "h", "w"])
    colors = np.random.default_rng(0).normal(size=(CLASSES, 3, 1, 1)).astype(np.float32)
    conv = helper.make_node("Conv", ["levels", "colors"], ["scores"])
    graph = helper.make_graph([conv], "colors", [levels], [scores], [numpy_helper.from_array(colors, "colors")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def write_generators(runs: Path) -> None:
    """Generators of every task with their discriminators: small ones, as a new discriminator would have the published size."""
    small = {"in_channels": CLASSES, "upsamplings": 5}
    pair = patchgan(8, in_channels=6)
    networks = {
        "maps-inception/discriminator": (pair, SIDE),
        "streets/discriminator": (multiscale(8, in_channels=CLASSES + 3), (SIDE, 2 * SIDE)),
        "faces/teacher/discriminator": (sagan_discriminator(8, size=SIDE), SIDE),
        "zebra-styles/discriminator_A": (ms_image(8), 2 * SIDE),
        "quickstart/teacher/discriminator": (pair, SIDE),
        "learn/teacher/discriminator": (pair, SIDE),
        "maps-inception/generator": (inception(32, blocks=2, norm="batch"), SIDE),
        "streets/generator": (spade(8, spectral=False, **small), (SIDE, 2 * SIDE)),
        "streets-small/student": (mobile_spade(2, spectral=False, **small), (SIDE, 2 * SIDE)),
        "faces/teacher/generator": (sagan(16, size=SIDE, spectral=False), SIDE),
        "faces/student/student": (sagan(4, size=SIDE, spectral=False), SIDE),
        "cifar10/student/student": (stylegan2(SIDE, channel_base=256, latent=8, style=8, mapping=2), SIDE),
        "shoes/student/student": (munit(2, mlp=8, blocks=1), SIDE),
        "zebra-styles/generator_A": (munit(16, mlp=8, blocks=1), 2 * SIDE),
    }
    for name, (spec, size) in networks.items():
        save_artifact(runs / f"{name}.safetensors", spec.build(), size=size)


def write_published(root: Path) -> None:
    """Checkpoints of other code bases: a supernet, a file with several networks, a generator from label maps."""
    write_checkpoint(root / "maps_supernet" / "latest_net_G.pth", mobile_resnet(48))
    write_checkpoint(root / "cityscapes_spade" / "latest_net_G.pth", spade(2, spectral=False))
    for domain in "AB":
        write_checkpoint(root / "edges2shoes_munit" / f"latest_net_G_{domain}.pth", munit(2, blocks=1))
    both = {key: to_published(resnet(4, 2).build()) for key in ("G_A", "G_B")}
    (root / "horse2zebra_dmad").mkdir()
    torch.save({**both, "cfg": ([4, 8, 16, 16, 16, 0, 16, 16, 16, 8, 4], None)}, root / "horse2zebra_dmad" / "model_best.pth")


def write_foreign(root: Path) -> None:
    """A foreign generator: the file on the page, and weights."""
    (root / "generator.py").write_text(next(text for text in blocks("python").values() if "class Generator" in text))
    generator = f"{root / 'generator.py'}:generator"
    torch.save(load_factory(generator)().state_dict(), root / "generator.pth")
    convert(f"{generator}@{root / 'generator.pth'}", root / "generator.safetensors", size=SIDE)
    student = CompressConfig(
        teacher=f"{generator}@{root / 'generator.safetensors'}",
        data=DataConfig(path=str(root / "photos"), size=SIDE, workers=0),
        task="inputs",
        recovery=TrainingConfig(steps=0),
    )
    run_stages(student, root / "runs/generator-10x", last="recover")


def write_checkpoint(path: Path, spec: Spec) -> None:
    """A published checkpoint with fresh weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(to_published(spec.build()), path)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory with all stand-ins; no test changes a file in it, as is checked at the end."""
    root: Path = tmp_path_factory.mktemp("manual")
    torch.manual_seed(0)
    four = tuple(f"{index}.jpg" for index in range(4))
    for split in ("train", "val"):
        write_images(root / "datasets/maps" / split, four, (2 * SIDE, SIDE))
        write_images(root / "datasets/scans/raw" / split, four, (SIDE, SIDE))
        write_images(root / "datasets/scans/clean" / split, four, (SIDE, SIDE))
    for folder in ("trainA", "trainB", "testA", "testB"):
        write_images(root / "datasets/horse2zebra" / folder, four, (SIDE, SIDE))
    write_labels(root)
    for split in ("train", "test"):
        write_images(root / "datasets/faces" / split, four, (SIDE + 10, SIDE + 20))
    write_images(root / "photos", ("one.jpg", "two.jpg"), (SIDE + 5, SIDE - 3))
    write_features(root / "features.onnx")
    write_segmenter(root / "segmenter.onnx")
    write_generators(root / "runs")
    zebras = DataConfig(path=str(root / "datasets/horse2zebra"), size=SIDE, workers=0)
    save_statistics(zebras, root / "zebras.npz", domain="B", splits=("train",), features=str(root / "features.onnx"))
    teacher = resnet(32, blocks=1)
    for folder, channels, side in (("maps_pix2pix", 6, ""), ("horse2zebra_cyclegan", 3, "_A")):
        write_checkpoint(root / "checkpoints" / folder / f"latest_net_G{side}.pth", teacher)
        write_checkpoint(root / "checkpoints" / folder / f"latest_net_D{side}.pth", patchgan(8, in_channels=channels))
    write_published(root / "checkpoints")
    write_foreign(root)
    for run in ("quickstart", "learn"):
        save_artifact(root / "runs" / run / "teacher" / "generator.safetensors", teacher.build(), size=SIDE)
    config = CompressConfig(
        teacher=str(root / "runs/quickstart/teacher/generator.safetensors"),
        data=DataConfig(path="shapes", size=SIDE, workers=0, limit=2),
        budget="10x",
        recovery=TrainingConfig(steps=1, batch=2),
        evaluation=EvaluationConfig(runtimes=("torch",), repeats=1, images=1),
    )
    with quick_exports(), quick_plots():
        student = compress(config, root / "runs/quickstart/student").path
    write_identity(student / "student.onnx")
    for copy in ("maps-10x", "zebra", "learn/student", "learn/alone"):
        shutil.copytree(student, root / "runs" / copy)
    state = {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()}
    yield root
    assert {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()} == state


@pytest.fixture(scope="session")
def mirror(stage: Path) -> Iterator[Web]:
    """Local server with a public set."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(stage / "datasets/maps", "facades")
    with serve() as web:
        web.files = {"facades.tar.gz": packed.getvalue(), "facades_A.npz": b"statistics"}
        yield web


@pytest.fixture
def world(stage: Path, mirror: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the stage as the current directory, with hard links: files are replaced, never written in place.

    Neither ONNX graphs are traced nor plots drawn, which takes seconds and is tested in `tests/deploy` and `tests/report`.
    """

    def export(generator: nn.Module, path: Path, *, size: Size, verify: bool = True) -> Exported:
        write_identity(path)
        return Exported(path, "onnxruntime:f32", path.stat().st_size, None)

    shutil.copytree(stage, tmp_path / "world", copy_function=os.link)
    monkeypatch.chdir(tmp_path / "world")
    pretend(tmp_path / "home", monkeypatch)
    monkeypatch.setenv(MIRROR, mirror.address)
    for name, target in TARGETS.items():
        monkeypatch.setitem(TARGETS, name, replace(target, export=export))
    with quick_exports(), quick_plots():
        yield tmp_path / "world"


@pytest.fixture
def restored() -> Iterator[Callable[[object], None]]:
    """Call it with a registry: its entries are restored after the test."""
    saved: list[tuple[dict[str, object], dict[str, object]]] = []

    def watch(registry: object) -> None:
        entries = registry  # type: ignore[attr-defined]
        saved.append((entries, dict(entries)))

    yield watch
    for entries, before in saved:
        entries.clear()
        entries.update(before)
