"""Weights, factories and networks as users have them: files as trainings leave them, networks that have run."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.dims import widths_of
from pocketgan.foreign.factory import Reference, call_factory, load_factory, parse_reference, register_factory, with_weights
from pocketgan.foreign.wrap import load_weights, wrap_foreign
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.load_generator import as_generator
from zoo import randomize_

SHAPE = (16, 16)
State = Mapping[str, Tensor]


class Net(nn.Module):
    """Network with a buffer of integers, for example a table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x: Tensor) -> Tensor:
        self.seen = torch.relu(self.first(x))
        return torch.tanh(self.last(self.seen))


def under(prefix: str, state: State) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


OTHER = {"conv.weight": torch.zeros(1, 3, 3, 3)}

WRAPPED: dict[str, Callable[[State], object]] = {
    "as it is": dict,
    "DataParallel": lambda state: under("module.", state),
    "compiled, in parallel, under a key": lambda state: {"state_dict": under("module._orig_mod.", state), "epoch": 3},
    "of a training module": lambda state: under("netG.", state) | under("netD.", OTHER),
    "beside its discriminator": lambda state: {"generator": state, "discriminator": OTHER, "step": 7},
    "mean of weights": lambda state: {"n_averaged": torch.tensor(7), **under("module.", state)},
    "half": lambda state: {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_weights_are_found_as_trainings_leave_them(wrapping: str, tmp_path: Path) -> None:
    trained, model = randomize_(Net(), seed=1), Net()
    trained.order.copy_(torch.tensor([1, 2, 0]))
    torch.save(WRAPPED[wrapping](trained.state_dict()), tmp_path / "w.pth")
    load_weights(model, tmp_path / "w.pth")
    for name, tensor in trained.state_dict().items():
        stored = tensor.half().float() if wrapping == "half" and tensor.is_floating_point() else tensor
        assert torch.equal(model.state_dict()[name], stored), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda state: {"params": state, "params_ema": state}, "holds 2 networks that fit, under 'params', 'params_ema'"),
        (lambda state: under("G_A.", state) | under("G_B.", state), "holds 2 networks that fit, under 'G_A', 'G_B'"),
        (lambda state: {**state, "extra.weight": torch.zeros(1)}, "1 unknown: extra.weight"),
        (lambda state: {name: tensor for name, tensor in state.items() if name != "last.bias"}, "1 missing: last.bias"),
        (lambda state: {**state, "last.bias": torch.zeros(4)}, "1 of another shape: last.bias"),
        (lambda state: {**state, "last.bias": torch.full((3,), torch.nan)}, "numbers in last.bias that are not finite"),
        (lambda state: {**state, "last.bias": torch.zeros(3, dtype=torch.int8)}, "has last.bias as strided int8"),
    ],
)
def test_weights_that_do_not_fit_or_fit_twice(content: Callable[[State], object], message: str, tmp_path: Path) -> None:
    torch.save(content(Net().state_dict()), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=message):
        load_weights(Net(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    "stored",
    [
        lambda a, b: {"params": a, "params_ema": b},
        lambda a, b: under("params.", a) | under("params_ema.", b),
        lambda a, b: {"params": under("module.", a), "params_ema": b},
    ],
)
def test_of_two_networks_one_is_chosen(stored: Callable[[State, State], object], tmp_path: Path) -> None:
    nets, file = [randomize_(Net(), seed=seed).state_dict() for seed in (1, 2)], tmp_path / "w.pth"
    torch.save(stored(*nets), file)
    model = Net()
    with pytest.raises(ValueError, match=r"choose one by --network params") as error:
        load_weights(model, file)
    load_weights(model, file, str(error.value).partition("--network ")[2].partition(",")[0])  # as the error says
    assert torch.equal(model.first.weight, nets[0]["first.weight"])
    load_weights(model, file, "params_ema")
    assert torch.equal(model.first.weight, nets[1]["first.weight"])
    with pytest.raises(ValueError, match="Did you mean 'params_ema'"):
        load_weights(model, file, "param_ema")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.py:make", Reference("net.py:make", None)),
        ("a b/me@home/net.py:make", Reference("a b/me@home/net.py:make", None)),
        ("me@home/net.py:make@you@work/w.pth", Reference("me@home/net.py:make", "you@work/w.pth")),
        ("C:\\nets\\net.py:make@D:\\w.pth", Reference("C:\\nets\\net.py:make", "D:\\w.pth")),
        ("package.module:make@w.pth", Reference("package.module:make", "w.pth")),
        ("me@home/net_G.pth", None),
        ("net.py:2", None),
        (":make", None),
    ],
)
def test_references_are_parsed(text: str, expected: Reference | None) -> None:
    assert parse_reference(text) == expected


def test_weights_are_named_once() -> None:
    assert with_weights("me@home/net.py:make", "w.pth") == "me@home/net.py:make@w.pth"
    with pytest.raises(ValueError, match=r"net.py:make@v.pth names its weights already"):
        with_weights("net.py:make@v.pth", "w.pth")


def test_a_factory_may_import_from_its_folder_when_it_runs(tmp_path: Path) -> None:
    (tmp_path / "beside_the_late_one.py").write_text("WIDTH = 7\n")
    file = tmp_path / "late.py"
    file.write_text(
        "def make():\n    from beside_the_late_one import WIDTH\n    from torch import nn\n    return nn.Conv2d(3, WIDTH, 1)\n"
    )
    assert call_factory(load_factory(f"{file}:make"), "make").out_channels == 7


def test_a_file_that_ends_the_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit(2)\n")
    with pytest.raises(ValueError, match=r"script.py ends the program when it is imported .* if __name__ =="):
        load_factory(f"{tmp_path / 'script.py'}:make")


class Nested(nn.Module):
    """Two parts, and both again inside a third module."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.ReLU())
        self.decoder = nn.Sequential(nn.ConvTranspose2d(5, 7, 4, 2, 1), nn.ReLU(), nn.Conv2d(7, 3, 3, padding=1))
        self.model = nn.Sequential(self.encoder, self.decoder)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.model(x))


def test_layers_of_two_names_are_cut_and_written_once(tmp_path: Path) -> None:
    register_factory("nested", Nested)
    model = wrap_foreign(randomize_(Nested(), seed=2), factory="nested", shape=SHAPE)
    assert widths_of(model) == {"encoder_0": 5, "decoder_0": 7}
    CostModel(model, SHAPE)
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    save_artifact(tmp_path / "nested.safetensors", model, size=16)
    image = torch.rand(1, 3, *SHAPE)
    assert torch.equal(load_artifact(tmp_path / "nested.safetensors").model(image), model(image))


class Derived(nn.Module):
    """Network of layers derived from torch's with fixed arguments."""

    class Conv(nn.Conv2d):
        def __init__(self, reads: int, writes: int):
            super().__init__(reads, writes, 3, padding=1)

    class Norm(nn.BatchNorm2d):
        def __init__(self, width: int):
            super().__init__(width, eps=1e-3)

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            self.Conv(3, 5), self.Norm(5), nn.ReLU(), self.Conv(5, 7), nn.ReLU(), self.Conv(7, 3), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_layers_derived_from_torchs_are_cut_like_those() -> None:
    model = wrap_foreign(randomize_(Derived(), seed=3), factory="derived", shape=SHAPE)
    assert widths_of(model) == {"net_0": 5, "net_3": 7}
    assert model.spec.gate_sites == {"net.1": "net.0", "net.3": "net.3"}
    assert model.spec.kept == {}


class Blurred(Net):
    """Network with a constant that does not follow its device and dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = torch.ones(3, 1, 3, 3) / 9

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(super().forward(x), self.kernel, padding=1, groups=3)


def test_a_constant_that_is_no_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not in float64 \(.*Float.*\), .*register constant tensors as buffers"):
        wrap_foreign(Blurred(), factory="blurred", shape=SHAPE)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda net: nn.DataParallel(torch.compile(net))])
def test_wrappers_of_training_and_compilation_are_removed(wrap: Callable[[nn.Module], nn.Module]) -> None:
    net = Net()
    assert call_factory(lambda: wrap(net), "make") is net
    assert widths_of(as_generator(wrap(net), shape=SHAPE).model) == {"first": 5}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_network_in_memory_may_have_run() -> None:
    """The old weight norm, and a map that forward keeps, leave tensors with gradients in the network."""
    model = Net().train()
    weight_norm(model.first)
    image = torch.rand(1, 3, *SHAPE)
    generated = model(image)
    assert not model.seen.is_leaf
    assert not model.first.weight.is_leaf
    found = as_generator(model, shape=SHAPE).model
    assert (found(image) - generated).abs().max() < 1e-6
    assert not model.seen.is_leaf


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    model = Net()
    model.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"cannot be copied \(TypeError: .*lock.*\), .*hold no locks"):
        as_generator(model, shape=SHAPE)
