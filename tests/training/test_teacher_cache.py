"""A cached teacher is the teacher: same losses, each input seen once, and no entry taken for another's."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.models import sagan
from pocketgan.tasks.base import Distillation
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from pocketgan.training.teacher_cache import IMAGE, CachedTeacher, TeacherCache, parse_bytes
from toy_tasks import CPU, batch, generator, make_discriminator


@pytest.fixture
def teacher() -> nn.Module:
    return generator(8, seed=1).eval()


@pytest.fixture
def calls(teacher: nn.Module) -> list[int]:
    """Sizes of the batches that the teacher has seen."""
    seen: list[int] = []
    teacher.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    return seen


def layers_of(model: nn.Module) -> tuple[str, ...]:
    return tuple(model.spec.taps)  # type: ignore[union-attr]


def cached(
    folder: Path, model: nn.Module, *, limit: int = 2**30, inputs: int = 8, layers: tuple[str, ...] = ()
) -> CachedTeacher:
    found = TeacherCache(folder, limit, inputs).of(model, layers)
    assert found is not None
    return found


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("objective", ["output", "output+features", "attention", "coattention+discriminator"])
def test_losses_are_those_of_the_teacher_itself(objective: str, tmp_path: Path) -> None:
    def losses(cache: TeacherCache | None) -> list[dict[str, Tensor]]:
        teacher = generator(8, seed=1)
        torch.manual_seed(0)
        task = Pix2PixTask(
            generator(4),
            None,
            l1_target="teacher",
            teacher=teacher,
            teacher_discriminator=make_discriminator(),
            objective=objective,
            layers=layers_of(teacher),
            example=batch(count=1),
            cache=cache,
        )
        trainer = Trainer(task, TrainingConfig(steps=6), CPU)
        return [trainer.advance(batch(step % 2)) for step in range(6)]

    for plain, kept in zip(losses(None), losses(TeacherCache(tmp_path, 2**30, 4)), strict=True):
        assert plain.keys() == kept.keys()
        for name, loss in plain.items():
            torch.testing.assert_close(kept[name], loss, rtol=1e-3, atol=0)


def test_each_input_is_seen_once_and_never_changes(teacher: nn.Module, calls: list[int], tmp_path: Path) -> None:
    own = cached(tmp_path, teacher, layers=layers_of(teacher))
    image, features = own(batch())
    assert calls == [1, 1]
    rows = {name: tensor.flip(0) for name, tensor in batch().items()}
    again, same = cached(tmp_path, teacher, layers=layers_of(teacher))(rows)
    assert calls == [1, 1]
    assert torch.equal(again.flip(0), image)
    assert all(torch.equal(same[name].flip(0), tensor) for name, tensor in features.items())
    with torch.no_grad():
        torch.testing.assert_close(image, teacher(batch()["input"]), rtol=0, atol=2**-11)


@pytest.mark.parametrize(
    "change",
    [
        lambda teacher: cached_inputs(teacher, 1e-6, 1.0),
        lambda teacher: cached_inputs(teacher, 0.0, 1.5),
    ],
    ids=["an input", "a weight"],
)
def test_another_input_or_teacher_has_other_entries(
    change: Callable[[nn.Module], dict[str, Tensor]], teacher: nn.Module, calls: list[int], tmp_path: Path
) -> None:
    cached(tmp_path, teacher)(batch())
    cached(tmp_path, teacher)(change(teacher))
    assert calls == [1] * 4
    assert len(entries(tmp_path)) == 4


def cached_inputs(teacher: nn.Module, added: float, factor: float) -> dict[str, Tensor]:
    """Batch moved by ``added``, for a teacher with its first weight multiplied."""
    next(teacher.parameters()).data.mul_(factor)
    return {"input": batch()["input"] + added}


def test_another_precision_has_other_entries(teacher: nn.Module, tmp_path: Path) -> None:
    own = cached(tmp_path, teacher)
    exact, _ = own(batch())
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = own(batch())
    assert len(entries(tmp_path)) == 4
    assert not torch.equal(exact, rough)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), cut=st.booleans())
def test_a_damaged_entry_is_made_again(
    place: int, cut: bool, teacher: nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    image, _ = cached(folder, teacher)(batch())
    file = entries(folder)[0]
    content = bytearray(file.read_bytes())
    place %= len(content)
    content[place] ^= 0xFF
    file.write_bytes(content[:place] if cut else content)
    assert torch.equal(cached(folder, teacher)(batch())[0], image)
    assert torch.equal(cached(folder, teacher)(batch())[0], image)


@pytest.mark.parametrize(("inputs", "kept"), [(2, 1 + 2), (3, 1)])
def test_features_are_kept_where_those_of_all_inputs_fit(inputs: int, kept: int, teacher: nn.Module, tmp_path: Path) -> None:
    own = cached(tmp_path / "all", teacher, layers=layers_of(teacher)[:2], inputs=inputs)
    own({"input": batch()["input"][:1]})
    assert len(entries(tmp_path / "all")) == 3
    needed = sum(torch.finfo(torch.float16).bits // 8 * tensor.numel() for tensor in _outputs(own))
    some = cached(tmp_path / "some", teacher, limit=2 * needed, layers=layers_of(teacher)[:2], inputs=inputs)
    some({"input": batch()["input"][:1]})
    assert len(entries(tmp_path / "some")) == kept


def _outputs(own: CachedTeacher) -> list[Tensor]:
    image, features = own({"input": batch()["input"][:1]})
    return [image, *features.values()]


def test_the_cache_keeps_to_its_limit(teacher: nn.Module, calls: list[int], tmp_path: Path) -> None:
    image = 2 * 3 * 16 * 16
    own = cached(tmp_path, teacher, limit=3 * image)
    for _ in range(2):
        own(batch(0))
        own(batch(1))
    assert len(entries(tmp_path)) == 3
    assert calls == [1] * (4 + 1)


def test_files_that_another_process_writes_meanwhile_are_no_error(teacher: nn.Module, tmp_path: Path) -> None:
    assert TeacherCache(tmp_path / "none", 2**30, 4).size == 0
    cached(tmp_path, teacher)(batch())
    written = sum(file.stat().st_size for file in entries(tmp_path))
    (tmp_path / ".a.1.tmp.safetensors").symlink_to(tmp_path / "gone")  # listed, and gone when it is looked at
    assert TeacherCache(tmp_path, 2**30, 4).size == written


def test_a_full_disk_ends_no_training(
    teacher: nn.Module, calls: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise ValueError("cannot write: No space left on device")

    monkeypatch.setattr("pocketgan.training.teacher_cache.write_tensors", refuse)
    own = cached(tmp_path, teacher)
    assert torch.equal(own(batch())[0], own(batch())[0])
    assert calls == [1] * 4


def test_numbers_beyond_float16_stay_float32(tmp_path: Path) -> None:
    class Loud(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * 1e6

    assert torch.equal(cached(tmp_path, Loud())(batch())[0], batch()["input"] * 1e6)


def test_teachers_of_latents_and_a_cache_of_no_size_are_left_alone(teacher: nn.Module, tmp_path: Path) -> None:
    assert TeacherCache(tmp_path, 2**30, 4).of(sagan(8).build(), ()) is None
    assert TeacherCache(tmp_path, 0, 4).of(teacher, ()) is None


def test_samples_of_test_images_leave_no_entries(teacher: nn.Module, tmp_path: Path) -> None:
    own = TeacherCache(tmp_path, 2**30, 4)
    Distillation(generator(4), teacher, None, "output", {}, (), batch(), own).teacher_image(batch())
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "found"), [("8G", 8 * 2**30), ("1.5M", 3 * 2**19), ("500kb", 500 * 2**10), ("0", 0), ("12", 12)]
)
def test_sizes(text: str, found: int) -> None:
    assert parse_bytes(text) == found


@pytest.mark.parametrize("text", ["", "8 giga", "-1G", "nan", "G"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="write a size such as 8G or 500M, or 0 for no cache"):
        parse_bytes(text)


def test_the_image_has_a_name_of_its_own() -> None:
    assert IMAGE not in layers_of(generator())
