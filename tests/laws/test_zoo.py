"""Every registered model has examples on which the laws are tried."""

from collections.abc import Iterable

from pocketgan.core.spec import MODELS, spec_from_json
from zoo import EXAMPLES, REPRESENTATIVES, SPECS


def test_every_registered_model_has_examples() -> None:
    assert set(EXAMPLES) == set(MODELS)
    assert all(EXAMPLES.values())


def test_no_two_widths_of_an_example_are_equal() -> None:
    for name, spec in SPECS.items():
        present = [width for width in spec.widths.values() if width > 0]
        assert len(set(present)) == len(present), name
        assert not {1, 2, 3, 4, 6} & set(present), name  # nor equal to the number of image channels


def test_examples_cover_every_norm_and_an_absent_branch() -> None:
    for name in ("resnet", "mobile-resnet", "unet", "inception"):
        assert {spec.norm for spec in EXAMPLES[name].values()} == {"instance", "instance_affine", "batch"}  # type: ignore[attr-defined]
        assert any(0 in spec.widths.values() for spec in EXAMPLES[name].values())


def test_examples_of_label_maps_cover_every_norm_and_an_absent_branch() -> None:
    examples = [spec for name in ("spade", "mobile-spade", "inception-spade") for spec in EXAMPLES[name].values()]
    assert {spec.spade_norm for spec in examples} == {"batch_plain", "instance"}  # type: ignore[attr-defined]
    assert any(0 in spec.widths.values() for spec in examples)
    assert not any(spec.spectral for spec in examples)  # type: ignore[attr-defined]  (what can be cut is folded)


def test_every_module_class_is_in_a_representative() -> None:
    """Laws in float32 and repeats of laws run on the representatives: no kind of layer is left out."""

    def kinds(names: Iterable[str]) -> set[type]:
        return {type(module) for name in names for module in SPECS[name].build(device="meta").modules()}

    assert kinds(SPECS) - kinds(REPRESENTATIVES) == set()


def test_every_example_survives_json() -> None:
    for spec in SPECS.values():
        assert spec_from_json(spec.to_json()) == spec
