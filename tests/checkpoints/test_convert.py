"""``pocketgan convert``: to artifacts, back to published names, and from a supernet with a configuration to one network."""

import published
import published_gaugan
import pytest
import torch

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact, read_header, save_artifact
from pocketgan.models import resnet, unet
from pocketgan.pipeline.load_generator import load


@pytest.fixture
def done(capsys):
    """Function that runs the command and returns its output."""

    def run(*arguments):
        capsys.readouterr()
        assert main(["convert", *map(str, arguments)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(capsys):
    """Function that runs a command that must fail and returns its one line of error."""

    def run(*arguments):
        capsys.readouterr()
        assert main(["convert", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return run


def saved(net, path):
    torch.save(published.trained(net).state_dict(), path)
    return net


def leading(small, large):
    """``small`` with the leading channels of ``large``, statistics of which it has whole: GAN Compression's export."""
    whole = large.state_dict()
    small.load_state_dict({name: whole[name][tuple(map(slice, own.shape))] for name, own in small.state_dict().items()})
    return small.eval()


def equal(ours, theirs, image):
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image.clone()))


def test_to_an_artifact_and_back(tmp_path, done):
    source, artifact, target = (
        tmp_path / "latest_net_G.pth",
        tmp_path / "teacher.safetensors",
        tmp_path / "new" / "latest_net_G.pth",
    )
    net = saved(published.resnet(3, 5, 7, 5, 3, (7, 2), mobile=True), source)
    recognized = "GAN Compression mobile ResNet generator, 2 blocks, own widths (2 to 7), instance norm, 3 -> 3 channels"
    output = done(source, "--out", artifact, "--size", "96", "--aspect", "1.5")
    assert output.startswith(f"{recognized}, from 28 tensors; written as an artifact for 96 x 64\n")
    assert output.endswith(f"{artifact}: {artifact.stat().st_size:,} bytes\n")
    loaded = load_artifact(artifact)
    assert tuple(loaded.size) == (64, 96)
    assert loaded.provenance["family"] == "GAN Compression"
    assert loaded.provenance["converted"] == {"file": "latest_net_G.pth", "recognized": f"{recognized}, from 28 tensors"}
    equal(loaded.model, net, torch.rand(1, 3, 16, 16))
    assert "written under the published names" in done(artifact, "--out", target)
    state, original = torch.load(target, weights_only=True), net.state_dict()
    assert state.keys() == original.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in original.items())


def test_supernet_and_configuration(tmp_path, done):
    """Eight numbers as the released tools take them."""
    supernet = saved(published.resnet(4, 8, 16, 8, 4, (16,) * 9, mobile=True), tmp_path / "super.pth")
    output = done(tmp_path / "super.pth", "--config", "2_3_3_1_4_2_2_3", "--out", tmp_path / "student.safetensors")
    assert "; cut to 2_3_3_1_4_2_2_3; written as an artifact for 256 x 256" in output
    hidden = (4,) * 3 + (16,) * 3 + (8,) * 3
    student = leading(published.resnet(2, 6, 12, 4, 3, hidden, mobile=True), supernet)
    equal(load_artifact(tmp_path / "student.safetensors").model, student, torch.rand(1, 3, 16, 16))
    done(tmp_path / "super.pth", "--config", "2_3_3_1_4_2_2_3", "--out", tmp_path / "student.pth")
    state = torch.load(tmp_path / "student.pth", weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in student.state_dict().items())


def test_supernet_from_label_maps(tmp_path, done):
    ups = [(k * 2, k * 2) for k in (8, 4, 2, 1)]
    supernet = published_gaugan.spade(32, (32, 32, 32), ups, upsamplings=6, modulations=4, mobile="instance")
    for block in supernet.children():  # all modulations of a supernet are twice its ngf wide
        for name in [name for name, _ in block.named_children() if name.startswith("norm")]:
            channels = len(getattr(block, name).param_free_norm.running_mean)
            setattr(block, name, published_gaugan.Spade(channels, 4, 4, mobile="instance"))
    saved(supernet, tmp_path / "super.pth")
    artifact = tmp_path / "s.safetensors"
    output = done(tmp_path / "super.pth", "--config", "2_1_2_1_2_1_1_2", "--upsamplings", 6, "--out", artifact)
    assert "; cut to 2_1_2_1_2_1_1_2, with the supernet's running statistics" in output
    student = leading(published_gaugan.sub_mobile_spade((2, 1, 2, 1, 2, 1, 1, 2), 2), supernet)
    equal(load_artifact(artifact).model, student, torch.rand(1, 4, 64, 128))


def test_spectral_norm_is_folded_into_a_generator_and_stays_in_a_discriminator(tmp_path, done):
    generator, discriminator = tmp_path / "latest_net_G.pth", tmp_path / "latest_net_D.pth"
    net = published_gaugan.spade(2, (3, 2, 3), [(2, 3)] * 4, spectral=True).eval()
    torch.save(net.state_dict(), generator)
    output = done(generator, "--out", tmp_path / "generator.safetensors")
    assert "; spectral norm folded into the weights; written as an artifact" in output
    loaded = load_artifact(tmp_path / "generator.safetensors").model
    image = torch.rand(1, 4, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), net(image), rtol=0, atol=1e-6)
    assert not load(generator).model.spec.spectral
    torch.save(published_gaugan.multiscale([[3, 5], [3, 5]]).state_dict(), discriminator)
    assert "norm folded" not in done(discriminator, "--out", tmp_path / "discriminator.safetensors")
    assert load_artifact(tmp_path / "discriminator.safetensors").model.spec.spectral
    done(generator, "--out", tmp_path / "again.pth")
    assert torch.load(tmp_path / "again.pth", weights_only=True).keys() == net.state_dict().keys()


def test_one_of_several_networks(tmp_path, done, refused):
    states = {key: published.resnet(3, 5, width, 5, 3).state_dict() for key, width in (("G_A", 7), ("G_B", 9))}
    torch.save(states, tmp_path / "model_best.pth")
    out = tmp_path / "b.safetensors"
    command = f"pocketgan convert {tmp_path}/model_best.pth --network G_A --out FILE.safetensors"
    assert command in refused(tmp_path / "model_best.pth", "--out", out)
    done(tmp_path / "model_best.pth", "--network", "G_B", "--out", out)
    assert read_header(out)["spec"]["widths"]["trunk"] == 9


def test_what_is_refused(tmp_path, done, refused):
    net, out, x = tmp_path / "latest_net_G.pth", tmp_path / "g.safetensors", tmp_path / "x.pth"
    saved(published.resnet(3, 6, 12, 6, 3, (12,) * 3), net)
    done(net, "--out", out)
    assert refused(net, "--out", out) == f"{out} exists already: give another file, or --replace"
    done(net, "--out", out, "--replace")
    line = refused(net, "--out", tmp_path / "g.onnx")
    assert line.endswith("ends in '.onnx': write .safetensors for an artifact, .pth for published names")
    assert refused(tmp_path / "no.pth", "--out", x) == f"there is no file {tmp_path}/no.pth"
    assert "is an artifact of pocketgan, which needs neither --network nor --upsamplings" in refused(
        out, "--network", "G", "--out", x
    )
    line = refused(net, "--config", "9_3_3_3_3_3_3_3", "--out", x)
    assert "stem" in line
    assert "found 3" in refused(net, "--config", "1_2_3", "--out", x)
    save_artifact(tmp_path / "u.safetensors", unet(2, 3).build(), size=64)
    line = refused(tmp_path / "u.safetensors", "--config", "1_1_1_1_1_1_1_1", "--out", x)
    assert line.startswith("published configurations are for networks with the groups stem, down1, trunk")
    left = resnet(2, 1, "batch").resized({"block0": 0}).build()
    left.block0.shift.value[0] = 1
    save_artifact(tmp_path / "s.safetensors", left, size=64)
    assert "there is no published name for block0.shift.value" in refused(tmp_path / "s.safetensors", "--out", x)
    assert not x.exists()
