"""A tiny teacher of every task and one tiny student, each made once a session by the commands that users give."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import LABELS, LATENTS, NETS, TINY, command
from PIL import Image

from quick import quick_loading, quick_plots


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a paired teacher on the built-in shapes."""
    path = tmp_path_factory.mktemp("runs") / "teacher"
    command("train", "--task", "paired", "--data", "shapes", "--out", path, *TINY, *NETS)
    return path


@pytest.fixture(scope="session")
def student(teacher: Path) -> Path:
    """The run of its student, four times smaller: with a real ONNX file and real plots."""
    path = teacher.parent / "student"
    command(
        *("compress", teacher / "generator.safetensors", "--data", "shapes", "--out", path, "--budget", "4x"),
        *("--objective", "output+features+attention", *TINY),
    )
    return path


@pytest.fixture(scope="session")
def unpaired_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a CycleGAN on the built-in textures."""
    path = tmp_path_factory.mktemp("runs") / "unpaired"
    with quick_plots():
        command("train", "--task", "unpaired", "--data", "textures", "--out", path, *TINY, *NETS)
    return path


@pytest.fixture(scope="session")
def label_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a SPADE generator on images of 64 x 32, trained with spectral norm."""
    path = tmp_path_factory.mktemp("runs") / "labels"
    nets = ('arch_options={"ngf":4,"upsamplings":5}', 'discriminator_options={"ndf":3,"layers":2}')
    with quick_plots():
        command("train", "--out", path, "--size", "64", "--aspect", "2", *LABELS, *nets)
    return path


@pytest.fixture(scope="session")
def latent_teacher(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """The run of a SAGAN."""
    path = tmp_path_factory.mktemp("runs") / "latents"
    nets = ('arch_options={"ngf":4,"latent":8}', 'discriminator_options={"ndf":4}', "evaluation.generated=9")
    with quick_plots():
        command("train", "--task", "unconditional", "--out", path, "--features", features, *LATENTS, *nets)
    return path


@pytest.fixture(scope="session")
def multimodal_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a MUNIT, both directions."""
    path = tmp_path_factory.mktemp("runs") / "styles"
    nets = ('arch_options={"ngf":4,"mlp":8,"blocks":1}', 'discriminator_options={"ndf":2,"layers":2,"scales":2}')
    with quick_plots():
        command("train", "--task", "multimodal", "--out", path, *LATENTS, *nets)
    return path


@pytest.fixture(scope="module", autouse=True)
def quick_runs() -> Iterator[None]:
    """Every run writes a page; only those of the teacher and the student of pairs have their plots."""
    with quick_plots(), quick_loading():
        yield


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature extractor as users have them: an ONNX file; here the mean of each quarter of the image."""
    from onnx import TensorProto, helper, save

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 12])
    pool = helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4])
    flat = helper.make_node("Flatten", ["pooled"], ["rows"])
    graph = helper.make_graph([pool, flat], "quarters", [image], [rows])
    path = tmp_path_factory.mktemp("features") / "quarters.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flat folder of eight images of different sizes."""
    path, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for index in range(8):
        pixels = rng.integers(0, 256, (20 + index, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{index}.png")
    return path
