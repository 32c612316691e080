"""Genes of every family: published SPADE and MUNIT configurations to the last parameter, and the space ``parts``."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import inception, inception_spade, mobile_munit, mobile_resnet, mobile_spade, munit, resnet, spade, unet
from pocketgan.search.families import FAMILIES, family_of
from pocketgan.search.published import PARTS, make_space, parse_configuration
from pocketgan.search.space import parse_widths

STREETS = mobile_spade(64, spectral=False)
THINGS = mobile_spade(64, in_channels=184, upsamplings=5, spectral=False)

GOLDEN = [
    # network, height and width, configuration, parameters, billions of MACs in the literature's count, all as published
    (STREETS, (256, 512), "32_32_48_32_32_32_32_24", 20_425_019, "31.70"),
    (STREETS, (256, 512), "32_40_40_32_40_24_32_24", 21_002_811, "31.21"),
    (STREETS, (256, 512), "32_32_32_48_32_24_24_32", 20_174_275, "31.25"),
    (THINGS, (256, 256), "40_32_32_40_32_40_24_24", 25_985_755, "35.46"),
    (mobile_munit(64), (256, 256), "16_16_16_24_56_16_40_40_32_24", 1_100_347, "2.63"),
    (mobile_munit(64, style_encoder=False), (256, 256), "16_16_24_56_16_40_40_32_24", 925_203, "2.12"),
]


@pytest.mark.parametrize(("network", "shape", "text", "params", "billions"), GOLDEN)
def test_published_configurations_cost_what_was_published(
    network: Spec, shape: tuple[int, int], text: str, params: int, billions: str
) -> None:
    widths = parse_configuration(text, network)
    cost = CostModel(network.build(device="meta"), shape)(widths)
    assert cost.params == params
    assert f"{cost.macs_paper / 1e9:.2f}" == billions


@pytest.mark.parametrize(
    ("name", "size"),
    [("channels-48", 15_552), ("channels-64", 128_000), ("channels-64-coco", 390_625), ("channels-64_2", 5_764_801)],
)
def test_the_published_spaces(name: str, size: int) -> None:
    space = make_space(name, STREETS)
    assert space.size == size
    assert space.names == ("trunk", "head", "middle0", "middle1", "up0", "up1", "up2", "up3")
    published = {"channels-48": GOLDEN[:2], "channels-64": GOLDEN[2:3], "channels-64-coco": GOLDEN[3:4]}
    for _, _, text, *_ in published.get(name, []):
        assert space.widths(parse_widths(text)) == parse_configuration(text, STREETS)


def test_one_name_means_each_familys_own_space() -> None:
    assert make_space("channels-48", mobile_resnet(64)).size == 5_184
    assert make_space("channels-48", STREETS).size == 15_552
    assert make_space("channels-64", mobile_munit(64)).size == 282_475_249
    assert make_space("channels-64", mobile_munit(64, style_encoder=False)).size == 282_475_249 // 7


def test_the_genes_of_a_munit() -> None:
    """GAN Compression, ``sub_mobile_munit_generator``: which gene drives which width, and by which factor."""
    network = mobile_munit(10)
    widths = parse_configuration("1_2_3_4_5_6_7_8_9_10", network)
    style, content, decoder = [1, 2, 4, 4, 4], [2, 6, 16, 20, 20, 24, 24], [28, 28, 32, 32, 18, 10]
    assert list(widths) == list(network.groups())
    assert list(widths.values()) == [*style, *content, *decoder, 256, 256]
    space = make_space("channels-64", mobile_munit(64))
    assert space.widths(space.largest) == mobile_munit(64).widths


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.integers(1, 8)] * 8))
def test_a_gene_sets_the_outputs_and_the_modulations(values: tuple[int, ...]) -> None:
    network = spade(8, spectral=False)
    widths = parse_configuration("_".join(map(str, values)), network)
    assert widths["trunk"] == 16 * values[0]
    for block, value in zip(("head", "middle0", "middle1"), values[1:4], strict=True):
        assert (widths[block], widths[f"{block}_spade0"], widths[f"{block}_spade1"]) == (16 * value, 2 * value, 2 * value)
    for block, times, value in zip(("up0", "up1", "up2", "up3"), (8, 4, 2, 1), values[4:], strict=True):
        assert widths[block] == widths[f"{block}_hidden"] == times * value
        assert {widths[f"{block}_spade{end}"] for end in "01s"} == {2 * value}


def test_the_network_at_a_configuration_costs_what_its_widths_cost() -> None:
    """Genes that drive groups by different factors, costed as a table."""
    spec = mobile_spade(4, in_channels=5, upsamplings=5, spectral=False)
    space, cost = make_space("parts", spec), CostModel(spec.build(device="meta"), 64)
    table = space.sample(np.random.default_rng(0), 5)
    for row, costs in zip(table, space.costs(table, cost), strict=True):
        built = spec.resized(space.widths(tuple(row))).build(device="meta")
        assert costs.tolist() == list(CostModel(built, 64)())


FAMILY_EXAMPLES = {
    "ResNet": (resnet(64), "stem down1 trunk blocks1 blocks2 blocks3 up1 up2"),
    "SPADE": (STREETS, "trunk head middle0 middle1 up0 up1 up2 up3"),
    "SPADE, most": (mobile_spade(8, upsamplings=7), "trunk head middle0 middle1 up0 up1 up2 up3 up4"),
    "inception": (inception(64), "stem down1 trunk blocks1 blocks2 blocks3 up1 up2"),
    "inception SPADE": (
        inception_spade(64),
        "trunk head_spade head middle0_spade middle0 middle1_spade middle1 "
        "up0_spade up0 up1_spade up1 up2_spade up2 up3_spade up3",
    ),
    "inception SPADE, most": (
        inception_spade(12, upsamplings=7),
        "trunk head_spade head middle0_spade middle0 middle1_spade middle1 "
        "up0_spade up0 up1_spade up1 up2_spade up2 up3_spade up3 up4_spade up4",
    ),
    "MUNIT": (munit(64), "style stem down1 trunk contents1 contents2 decoders1 decoders2 up1 up2 mlp"),
    "other": (unet(ngf=8, depth=5), "down1 down2 down3 down4 down5 up2 up3 up4 up5"),
}


@pytest.mark.parametrize("kind", FAMILY_EXAMPLES)
def test_parts_of_any_network(kind: str) -> None:
    """From exactly the full width down, every group driven; a SPADE stream keeps its proportions as the authors' code does."""
    spec, names = FAMILY_EXAMPLES[kind]
    assert family_of(tuple(spec.widths))[0] == kind.removesuffix(", most")
    space = make_space("parts", spec)
    assert set(space.names) == set(names.split())
    assert space.widths(space.largest) == spec.widths
    assert {group for gene in space.genes for group in gene.factors} == set(spec.widths)
    for gene in space.genes:
        for value in gene.choices:
            widths = space.widths(tuple(value if other is gene else other.choices[0] for other in space.genes))
            assert all(gene.choices[0] * widths[group] == value * spec.widths[group] for group in gene.factors)
        assert gene.choices[-1] == max(1, round(PARTS[-1] * gene.choices[0]))
    assert spec.resized(space.widths(space.smallest)).build(device="meta")


def test_the_stream_of_an_inception_spade_follows_its_trunk() -> None:
    spec = inception_spade(64)
    genes = {gene.name: gene for gene in make_space("parts", spec).genes}
    assert genes["trunk"].factors == {"trunk": 16, "up0": 8, "up1": 4, "up2": 2, "up3": 1}
    assert set(genes["trunk"].factors) == {"trunk", *spec.tied_groups}


def test_absent_branches_stay_absent() -> None:
    spec = inception(16, blocks=3)
    cut = spec.resized({"block0_res1": 0, **{group: 0 for group in spec.widths if group.startswith("block1")}})
    space = make_space("parts", cut)
    assert space.names == ("stem", "down1", "trunk", "blocks1", "blocks3", "up1", "up2")
    assert space.widths(space.largest) == cut.widths
    assert space.widths(space.smallest)["block0_res1"] == 0


def test_families_do_not_overlap() -> None:
    for spec, _ in FAMILY_EXAMPLES.values():
        drives = [
            {group for factors in genes_of(tuple(spec.widths)).values() for group in factors} for genes_of in FAMILIES.values()
        ]
        assert drives.count(set(spec.widths)) == (spec.name != "unet")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: parse_configuration("1_1_1_1_1_1_1_1", munit(8)), r"MUNIT configuration has 10 genes, 9 without a style"),
        (
            lambda: make_space("channels-48", munit(64)),
            r"channels-48 is a space of ResNet and SPADE generators, this is a MUNIT",
        ),
        (lambda: make_space("channels-32", STREETS), r"channels-32 is a space of ResNet generators, this is a SPADE generator"),
        (
            lambda: make_space("channels-64", resnet(64)),
            r"channels-64 is a space of SPADE and MUNIT generators, this is a ResNet",
        ),
        (lambda: make_space("channels-64", spade(64, upsamplings=7)), r"for SPADE generators of 5 or 6 upsamplings"),
        (lambda: make_space("channels-64", spade(32)), r"choices up to 32 fit"),
        (lambda: parse_configuration("1_1_1_1_1_1", STREETS), r"8 genes and no legacy form; found 6"),
        (lambda: parse_configuration("1_1_1_1_1_1_1_1", inception(64)), r"this one has stem, down1, trunk, block0_res1"),
    ],
)
def test_wrong_families_are_refused(act: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()
