"""Draw the figures of the documentation: ``python docs/make_figures.py [RUN [RUNS]]``.

The SVG files are drawn from this script alone. ``quickstart.png`` is made from the images of a run of
``pocketgan quickstart`` (``runs/quickstart`` unless another directory is named), ``styles.png`` by the networks of a run of
``benchmarks/styles.py`` (``runs/styles``).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FIGURES = Path(__file__).parent / "figures"
COLUMNS = ("input", "target", "teacher", "student")
ROWS, SCALE, GAP, HEAD = 3, 3, 8, 30
STUDENT, DRAWINGS = "gan-compression-4x-s0", (0, 2, 4)

STYLE = """
text{font:14px system-ui,sans-serif;fill:#1f2933}.small{font-size:12px;fill:#52606d}.bold{font-weight:600}
.line{stroke:#7b8794;stroke-width:1.5;fill:none}.dash{stroke-dasharray:5 4}.tip{fill:#7b8794}.box{fill:#f5f7fa;stroke:#9aa5b1}
.a{fill:#2f6fde}.b{fill:#2a9d78}.c{fill:#d9822b}.d{fill:#8f5bd1}.e{fill:#c94f6d}.f{fill:#1b9aaa}.g{fill:#7a8b1f}
.off{fill:#cbd2d9}
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.small{fill:#9aa5b1}.box{fill:#1f2933;stroke:#616e7c}.off{fill:#3e4c59}
.a{fill:#6ba3ff}.b{fill:#57c9a3}.c{fill:#f0a85c}.d{fill:#b794f4}.e{fill:#ef8aa0}.f{fill:#5fd0dd}.g{fill:#b8cc52}}
"""
ARROW = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="tip" d="M0 0L8 4L0 8z"/></marker>'
)

LAYERS = (
    (("cli", "commands and Python functions"),),
    (("recipes", "complete configurations"),),
    (("pipeline", "resolve a configuration, run its stages"),),
    (("report", "HTML from run directories"),),
    (("evaluation", "metrics over a test set"),),
    (("tasks", "one file a task"), ("methods", "one file a method"), ("deploy", "formats, runtimes, checks")),
    (("training", "the loop, objectives"), ("search", "spaces, strategies"), ("foreign", "tracing your generator")),
    (("pruning", "operations on widths"), ("checkpoints", "published files"), ("pretrained", "Inception, VGG, DRN")),
    (
        ("data", "files to batches"),
        ("models", "one file a network"),
        ("losses", "functions of tensors"),
        ("metrics", "cost, quality, time"),
    ),
    (("core", "named widths, specs, configuration, artifacts, runs"),),
    (("utils", "files, downloads, progress, image conversion"),),
)
"""Packages from the top down; imports go to lower layers only."""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """Line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str = "box", radius: float = 4) -> str:
    """Rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{kind}"/>'


def line(path: str, *, kind: str = "line", tip: bool = True) -> str:
    """Path, with an arrow's tip at its end."""
    return f'<path class="{kind}" d="{path}"' + (' marker-end="url(#tip)"' if tip else "") + "/>"


def drawing(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Complete SVG file that follows the reader's light or dark scheme."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    )
    return "\n".join([head, f"<title>{title}</title><style>{STYLE}</style><defs>{ARROW}</defs>", *parts, "</svg>", ""])


def packages() -> str:
    """Packages and their layers."""
    height, left, width = 58, 60, 720
    parts = [f'<path class="box" d="M{left - 24} 84L{left + width / 2} 4L{left + width + 24} 84z"/>']
    for level, row in enumerate(LAYERS):
        top, part = (34 if level == 0 else 40) + level * height, width / len(row)
        for index, (name, about) in enumerate(row):
            x = left + index * part
            if level:
                parts += [rect(x + 3, top, part - 6, height - 8), rect(x + 3, top, 6, height - 8, "fgbedca"[level % 7], 3)]
            parts.append(text(x + part / 2, top + 20, name, "bold"))
            parts.append(text(x + part / 2, top + 38, about, "small"))
    bottom = 32 + len(LAYERS) * height
    parts.append(line(f"M28 96V{bottom}"))
    parts.append(
        f'<g transform="rotate(-90 18 {bottom / 2 + 40})">{text(18, bottom / 2 + 40, "imports point down", "small")}</g>'
    )
    return drawing(840, bottom + 20, "The packages of pocketgan, from the command line down to the core", parts)


def widths() -> str:
    """ResNet generator: layers whose channels must agree have the same name."""
    layers = (
        ("input", 12, 120, "off"), ("stem", 26, 120, "a"), ("down1", 44, 84, "b"), ("trunk", 70, 52, "c"),
        ("block0", 58, 52, "d"),
        ("trunk", 70, 52, "c"), ("block1", 58, 52, "e"), ("trunk", 70, 52, "c"), ("up1", 44, 84, "f"), ("up2", 26, 120, "g"),
        ("image", 12, 120, "off"),
    )  # fmt: skip
    parts, x, trunks = [], 24.0, []
    for index, (name, thick, high, kind) in enumerate(layers):
        # A map with more channels is drawn thicker, one with more pixels higher.
        parts += [rect(x, 100 - high / 2, thick, high, kind), text(x + thick / 2, 184, name, "small")]
        if name == "trunk":
            trunks.append(x + thick / 2)
        if index + 1 < len(layers):
            parts.append(line(f"M{x + thick + 3:g} 100h13"))
        x += thick + 20
    parts.append(line(f"M{trunks[0]:g} 192V212H{trunks[-1]:g}V192M{trunks[1]:g} 192V212", tip=False))
    parts.append(text(trunks[1], 230, "added to one another: one group, one width", "small"))
    return drawing(int(x) + 4, 244, "The named widths of a ResNet generator with two blocks", parts)


def selection() -> str:
    """Scores of channels, one threshold, and the channels above it."""
    groups = (
        ("stem", (52, 18, 70, 34), "a"), ("trunk", (88, 24, 60, 74, 12, 96), "c"), ("block0", (20, 80, 10, 46, 64), "d"),
    )  # fmt: skip
    threshold, base, x = 40, 130, 40.0
    parts = [
        line(f"M30 {base - threshold}H396", kind="line dash", tip=False),
        text(402, base - threshold + 5, "one threshold", "small", "start"),
    ]
    for name, scores, kind in groups:
        for index, score in enumerate(scores):
            parts.append(rect(x + index * 19, base - score, 14, score, kind if score > threshold else "off", 2))
        parts.append(text(x + len(scores) * 19 / 2, base + 20, f"{name}: {len(scores)}", "small"))
        x += len(scores) * 19 + 22
    parts.append(line("M496 90h34"))
    x = 556.0
    for name, scores, kind in groups:
        kept = [score for score in scores if score > threshold]
        parts += [rect(x + index * 19, base - score, 14, score, kind, 2) for index, score in enumerate(kept)]
        parts.append(text(x + len(kept) * 19 / 2, base + 20, f"{name}: {len(kept)}", "small"))
        x += len(kept) * 19 + 34
    return drawing(int(x) + 4, 166, "Channels above one threshold are kept", parts)


def distillation() -> str:
    """Losses of the student."""
    parts = [rect(20, 96, 84, 60), text(62, 131, "input", "bold")]
    for y, name, about, kind, high in ((26, "teacher", "frozen", "a", 84), (170, "student", "trained", "c", 44)):
        middle = y + 42
        parts += [
            rect(190, middle - high / 2, 220, high, kind),
            rect(500, middle - 30, 110, 60),
            text(555, middle + 5, "image", "bold"),
        ]
        parts += [text(190, middle - high / 2 - 8, f"{name}: {about}", "bold", "start"), line(f"M416 {middle}h78")]
        parts.append(line(f"M110 126C150 126 140 {middle} 184 {middle}"))
    parts += [line("M370 188V116", kind="line dash"), text(378, 137, "features, by a 1x1 adaptor", "small", "start")]
    parts += [line("M555 180V104", kind="line dash"), text(563, 146, "output: L1", "small", "start")]
    parts += [
        rect(690, 182, 120, 60),
        text(750, 217, "discriminator", "bold"),
        line("M616 212h68"),
        text(750, 260, "real or generated?", "small"),
    ]
    return drawing(830, 276, "Losses of the student: imitation of the teacher, and the adversarial loss", parts)


DRAWN = {"packages": packages, "widths": widths, "selection": selection, "distillation": distillation}
"""Drawn figures by file name."""


def quickstart(run: Path) -> Image.Image:
    """Rows of input, target, teacher and student from the images of the student's run."""
    rows = [[Image.open(run / "student" / "images" / f"{row:03d}_{name}.png") for name in COLUMNS] for row in range(ROWS)]
    width, height = (side * SCALE for side in rows[0][0].size)
    sheet = Image.new("RGB", (len(COLUMNS) * (width + GAP) + GAP, ROWS * (height + GAP) + HEAD), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=18)
    for column, name in enumerate(COLUMNS):
        x = GAP + column * (width + GAP)
        pen.text((x + width / 2, HEAD / 2), name, fill="black", font=font, anchor="mm")
        for row, images in enumerate(rows):
            sheet.paste(images[column].resize((width, height), Image.Resampling.NEAREST), (x, HEAD + row * (height + GAP)))
    return sheet


def styles(runs: Path) -> Image.Image:
    """Three built-in drawings in eight styles, by the teacher and below by its student."""
    from pocketgan.data.config import DataConfig
    from pocketgan.data.images import open_data
    from pocketgan.pipeline.generate import GenerateConfig, generate

    data = open_data(DataConfig(path="shapes", size=32), "paired", "test")
    networks = (runs / "teacher" / "generator_A.safetensors", runs / "students" / STUDENT / "student.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        for index in DRAWINGS:
            Image.fromarray(data.load(index, None)["input"]).save(Path(folder) / f"{index}.png")
        sheet = Path(folder) / "sheet.png"
        generate([*map(str, networks)], sheet, GenerateConfig(source=folder, seeds=tuple(range(8))))
        with Image.open(sheet) as image:
            return image.convert("RGB").resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)


def main(run: Path, runs: Path) -> None:
    """Write every figure that can be made."""
    FIGURES.mkdir(exist_ok=True)
    for name, draw in DRAWN.items():
        (FIGURES / f"{name}.svg").write_text(draw())
    if (run / "student" / "result.json").exists():
        quickstart(run).save(FIGURES / "quickstart.png", optimize=True)
    else:
        print(f"quickstart.png is kept: there is no finished run in {run}; `make quickstart` makes one")
    if (runs / "students" / STUDENT / "student.safetensors").exists():
        styles(runs).save(FIGURES / "styles.png", optimize=True)
    else:
        print(f"styles.png is kept: there is no finished run in {runs}; benchmarks/styles.py makes one")


if __name__ == "__main__":
    folders, defaults = [Path(argument) for argument in sys.argv[1:]], [Path("runs/quickstart"), Path("runs/styles")]
    main(*folders, *defaults[len(folders) :])
