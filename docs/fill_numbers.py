"""Write the figures of benchmarks/results into the marked blocks of the pages: ``python docs/fill_numbers.py``.

Every number in a block comes from a result file; a test compares pages and files.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

from pocketgan.methods import METHODS

NETWORKS = {"cats64": "SAGAN on faces of cats at 64 x 64", "cifar10": "StyleGAN2 on CIFAR-10 at 32 x 32"}
METRICS = (("kernel", 2), ("psnr", 2), ("psnr_to_teacher", 2))
ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("numbers", "dmad", "gan_compression", "cat", "foreign", "reliability", "choosing")
    ),
)
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def read(name: str) -> dict[str, Any]:
    """Load a result file."""
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return data


def over(runs: Sequence[dict[str, Any]], metric: str, digits: int, network: str = "student") -> str:
    """Mean and sample deviation of a metric over runs; ``metric`` is its name without the extractor."""
    values = [next(v for k, v in run[network]["quality"].items() if k.split("[")[0] == metric) for run in runs]
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def grouped(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Runs that differ only in their seeds, by the label of their row."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        alone = run["objective"] == "none"
        label = f"widths of {run['method']}, trained without a teacher" if alone else run["method"]
        groups.setdefault(label, []).append(run)
    return groups


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def quickstart() -> str:
    """Table of the quickstart."""
    data = read("quickstart")
    runs = data["runs"]
    teacher = runs[0]["teacher"]
    rows = [["input", "-", "-", over(runs[:1], "psnr", 2, "input")]]
    cost = [f"{teacher['macs'] / 1e6:.1f} M", f"{teacher['params'] / 1e6:.2f} M"]
    rows.append(["teacher", *cost, over(runs[:1], "psnr", 2, "teacher")])
    for name, group in grouped(runs).items():
        student = group[0]["student"]
        cost = [f"{student['macs'] / 1e6:.2f} M", f"{student['params'] / 1e6:.2f} M"]
        rows.append([name, *cost, over(group, "psnr", 2)])
    count = len(next(iter(grouped(runs).values())))
    note = f"Built-in shapes, 64 x 64, {count} seeds (mean and deviation), on {data['cpu']}, two cores.\n"
    return table(["network", "exact MACs", "parameters", "PSNR to the target, dB"], rows) + "\n" + note


def maps64() -> str:
    """Table of maps64."""
    data = read("maps64")
    teacher = data["runs"][0]["teacher"]
    first = [data["runs"][0]]
    metrics = (("kernel", 2), ("frechet", 0), ("psnr", 2))
    rows = [["teacher", f"{teacher['macs'] / 1e6:.0f} M", *(over(first, m, d, "teacher") for m, d in metrics), "-"]]
    for name, group in grouped(data["runs"]).items():
        macs = f"{statistics.mean(run['student']['macs'] for run in group) / 1e6:.1f} M"
        seeds = f"{len(group)} seed{'s' if len(group) > 1 else ''}"
        rows.append([f"{name} ({seeds})", macs, *(over(group, m, d) for m, d in (*metrics, ("psnr_to_teacher", 2)))])
    header = ["network", "exact MACs", "kernel", "Fréchet", "PSNR to the target", "PSNR to the teacher"]
    landed = [100 * part for run, part in data["landings"].items() if METHODS[run.split("/")[0]].learns]
    note = (
        f"{data['search_steps']} + {data['steps']} steps of search and recovery (the protocol: 2,000 + 4,000), the same total\n"
        "of steps for all, not of work: a step of a search trains the whole network. A tenth of the MACs, on\n"
        f"{data['cpu']}, {data['threads']} thread. Methods that search landed at {min(landed):.1f} to {max(landed):.1f} %\n"
        "of the budget.\n"
    )
    return table(header, rows) + "\n" + note


def ablations() -> str:
    """DMAD with one thing changed, and objectives on the uniform cut: one seed each."""
    data = read("maps64-ablations")
    rows = [[*_changed(run), *(over([run], m, d) for m, d in METRICS)] for run in data["runs"]]
    rows.sort(key=lambda row: row[0] != "dmad")
    header = ["method", "changed", "objective", "steps", "kernel", "PSNR to the target", "PSNR to the teacher"]
    note = (
        f"maps64, one seed, on {data['cpu']}, {data['threads']} thread. One kernel distance has a standard error of about\n"
        f"{_kernel_error(data['runs']):.2f}: differences below twice that say nothing.\n"
    )
    return table(header, rows) + "\n" + note


def _kernel_error(runs: Sequence[dict[str, Any]]) -> float:
    """Mean standard error of a kernel distance."""
    return statistics.mean(v for run in runs for k, v in run["student"]["spread"].items() if k.startswith("kernel"))


def _changed(run: dict[str, Any]) -> list[str]:
    """Method, changed options, objective with changed weights, steps of search and recovery."""
    options = ", ".join(f"{key} {value}" for key, value in run["method_options"].items())
    weights = [f"{name} x {weight:g}" for name, weight in run["recovery"]["weights"].items() if name != "l1"]
    search, recovery = run["search"]["steps"], run["recovery"]["steps"]
    steps = f"{search} + {recovery}" if run["method"] == "dmad" else str(recovery)
    return [run["method"], options or "-", ", ".join([run["objective"], *weights]), steps]


def cat64() -> str:
    """Table of an inception teacher on the maps64 data: methods by objectives."""
    data = read("cat64")
    teacher, runs = data["teacher"]["generator"], data["runs"]
    metrics = (("kernel", 2), ("psnr", 2))
    quality = [over([data["teacher"]], m, d, "generator") for m, d in metrics]
    rows = [["teacher", "-", f"{teacher['macs'] / 1e6:.0f} M", *quality, "-"]]
    for run in runs:
        name = run["method"] + (", fresh weights" if run["weights"] == "fresh" else "")
        macs = f"{run['student']['macs'] / 1e6:.1f} M"
        rows.append([name, run["objective"], macs, *(over([run], m, d) for m, d in (*metrics, ("psnr_to_teacher", 2)))])
    header = ["network", "objective", "exact MACs", "kernel", "PSNR to the target", "PSNR to the teacher"]
    note = (
        "Map to aerial photo at 64 x 64, batch 4. The teacher: `inception`, ngf 32, batch norm, "
        f"{data['teacher']['training']['steps']:,} steps.\nStudents: 9.5 times fewer MACs, {data['search_steps']} + "
        f"{data['steps']} "
        f"steps, one seed, {data['cpu']}, {data['threads']} thread.\nShort runs: differences of a tenth say little.\n"
    )
    return table(header, rows) + "\n" + note


def camvid() -> str:
    """Table of street scenes from label maps, evaluated by a small segmenter."""
    data = read("camvid")
    teacher, runs = data["teacher"], data["runs"]

    def row(name: str, quality: dict[str, float], macs: int | None) -> list[str]:
        values = {key.split("[")[0]: value for key, value in quality.items()}
        cost = "-" if macs is None else f"{macs / 1e9:.2f} G"
        kernel = f"{values['kernel']:.2f}" if "kernel" in values else "-"
        return [name, cost, f"{100 * values['miou']:.1f}", f"{100 * values['accuracy']:.1f}", kernel]

    rows = [row("real photos", teacher["real"]["quality"], None)]
    rows.append(row("teacher, `spade`", teacher["generator"]["quality"], teacher["generator"]["macs"]))
    rows += [row(f"student, `{run['method']}`", run["student"]["quality"], run["student"]["macs"]) for run in runs]
    note = (
        "CamVid at 128 x 96, 11 classes, 367 training and 233 test images; the segmenter is a small U-Net of the\n"
        f"benchmark's own, trained on real photos. The teacher has ngf 16 and was trained for "
        f"{teacher['training']['steps']:,} steps\n"
        f"of batch 4, the students, with a ninth of its MACs, for {runs[0]['recovery']['steps']:,}; "
        "all without VGG19's perceptual\n"
        f"loss (L1 instead), one seed, {data['cpu']}, {data['threads']} thread.\n"
    )
    return table(["images", "exact MACs", "mIoU (%)", "pixel accuracy (%)", "kernel"], rows) + "\n" + note


def horse2zebra_smoke() -> str:
    """Sentence on the unpaired task at small size."""
    train, small = read("horse2zebra-smoke")["runs"]
    steps, macs = train["training"]["steps"], train["generator"]["macs"] / small["student"]["macs"]
    student, unchanged = (small[image]["quality"]["psnr_to_teacher"] for image in ("student", "input"))
    return (
        f"{steps} steps of CycleGAN at 64 x 64, then {macs:.1f}x fewer exact MACs "
        f"and {small['recovery']['steps']} steps more:\n"
        f"PSNR to the teacher's images {student:.1f} dB; of the unchanged horses {unchanged:.1f} dB.\n"
    )


def inheritance() -> str:
    """Table of the rank correlations between inherited and recovered networks."""
    data = read("rank_correlation")
    words = {
        "score > psnr_to_teacher": ("held-out distance to the teacher's images", "PSNR to the teacher"),
        "psnr_to_teacher > psnr_to_teacher": ("PSNR to the teacher, before recovery", "the same after it"),
        "score > psnr": ("held-out distance to the teacher's images", "PSNR to the target"),
        "score > kernel": ("held-out distance to the teacher's images", "kernel distance to real images"),
        "kernel > kernel": ("kernel distance to real images, before recovery", "the same after it"),
    }
    measured = {re.sub(r"\[[^]]*\]", "", key): value for key, value in data["correlations"].items()}
    rows = [
        [*words[key], f"{measured[key]['rho']:.2f}", f"{measured[key]['low']:.2f} to {measured[key]['high']:.2f}"]
        for key in words
        if key in measured
    ]
    macs = [row["macs"] for row in data["rows"]]
    before, after = ([row[stage]["psnr_to_teacher"] for row in data["rows"]] for stage in ("inherited", "recovered"))
    note = (
        f"{len(macs)} networks of {min(macs) / 1e6:.1f} to {max(macs) / 1e6:.1f} M MACs from one supernet of "
        f"{data['search_steps']} steps, each recovered for {data['steps']} steps,\n"
        f"on maps64: PSNR to the teacher {min(before):.2f} to {max(before):.2f} dB before it, {min(after):.2f} to "
        f"{max(after):.2f} after.\n"
    )
    return table(["inherited", "recovered", "Spearman's rho", "95 % interval"], rows) + "\n" + note


def halving() -> str:
    """Table of successive halving against scoring all candidates on all images."""
    data = read("halving")
    rows = [
        [
            row["fitness"],
            ", ".join(map(str, row["rungs"])),
            f"{row['times_fewer']:.1f}x",
            f"{row['spearman']:.3f}",
            str(row["place_of_the_one_found"]),
        ]
        for row in data["rows"]
    ]
    note = (
        f"{data['candidates']} networks drawn at random, using {data['use']:g} to 1 of the budget of {data['budget']}, by a "
        f"supernet of {data['search_steps']} steps on maps64;\n{data['images']} images each. The first row of each fitness "
        "is the default.\n"
    )
    header = ["fitness", "images on each rung", "fewer images", "Spearman's rho to full scoring", "full rank of the winner"]
    return table(header, rows) + "\n" + note


def time_to_quality() -> str:
    """Table of the ideas of the recovery, added in turn, on a CycleGAN generator of other people."""
    data = read("time_to_quality")
    rows = [
        [
            run["recipe"],
            run["budget"],
            f"{run['cpu_seconds']:.0f}",
            "-" if run["reconstructed"] is None else f"{run['reconstructed']:.1f}",
            f"{run['psnr_to_teacher']:.2f}",
            f"{run['ssim_to_teacher']:.3f}",
        ]
        for run in data["runs"]
    ]
    header = ["recipe", "budget", "CPU seconds", "before training, dB", "PSNR to the teacher, dB", "SSIM"]
    return table(header, rows) + "\n" + fill(f"{data['note']} On {data['cpu']}, one thread a run.", 124) + "\n"


def johnson128() -> str:
    """Table of a foreign generator by five methods."""
    data = read("johnson128")
    rows = []
    for weights, run in [(weights, run) for weights, runs in data["runs"].items() for run in runs]:
        teacher, student = run["teacher"], run["student"]
        speedups = [
            teacher["latency_ms"][name]["median"] / student["latency_ms"][name]["median"] for name in ("onnxruntime", "torch")
        ]
        ratios = (f"{value:.1f}x" for value in (teacher["macs"] / student["macs"], *speedups))
        quality = (over([run], *metric) for metric in (("psnr_to_teacher", 2), ("ssim_to_teacher", 3), ("kernel", 2)))
        rows.append([weights, run["method"], *ratios, *quality])
    header = ["weights", "method", "exact MACs", "ONNX Runtime", "PyTorch", "PSNR to the teacher", "SSIM", "kernel"]
    unchanged = [
        f"{over(runs[:1], 'psnr_to_teacher', 2, 'input')} dB and {over(runs[:1], 'kernel', 2, 'input')} ({weights})"
        for weights, runs in data["runs"].items()
    ]
    note = (
        "A fast style-transfer network (Johnson et al. 2016) of 2.07 G exact MACs at 128 x 128; inputs are horses, and\n"
        f"students are evaluated on 120 held-out ones. {data['search_steps']} + {data['steps']} steps of batch 4, one seed,\n"
        f"on {data['cpu']}, {data['threads']} thread: too few to say which method is best. How many times faster a student\n"
        "is than the teacher is measured in one run, medians. PSNR and kernel distance of the unchanged horses:\n"
        f"{', '.join(unchanged)}.\n"
    )
    return table(header, rows) + "\n" + note


def latents(name: str) -> str:
    """Table of students of an unconditional generator."""
    data = read(f"latents-{name}")
    teacher, runs, metrics = data["teacher"], data["runs"], (("kernel", 2), ("precision", 3), ("recall", 3))

    def row(name: str, budget: str, run: dict[str, Any], network: str) -> list[str]:
        cost = [f"{run[network]['params'] / 1e6:.2f} M", f"{run[network]['macs'] / 1e6:.1f} M"]
        return [name, budget, *cost, *(over([run], *metric, network) for metric in metrics)]

    rows = [[*row("teacher", "-", teacher, "generator"), "-"]]
    for run in runs:
        rows.append([*row(run["method"], run["budget"]["asked"], run, "student"), over([run], "psnr_to_teacher", 2)])
    header = ["network", "budget", "parameters", "exact MACs", *(metric for metric, _ in metrics), "PSNR to the teacher"]
    note = (
        f"{NETWORKS[name]}, {data['teacher_steps']:,} steps; {data['search_steps']} + {data['steps']} steps of search and\n"
        f"recovery, the same total for all; one seed, {data['cpu']}, {data['threads']} thread.\n"
    )
    return table(header, rows) + "\n" + note


def faults() -> str:
    """Table of the campaign of faults."""
    data = read("faults")
    rows = []
    for what, name in (("inputs", "bad inputs: {}"), ("runs", "interrupted runs: {}")):
        for kind, verdicts in data[what].items():
            others = {verdict: count for verdict, count in verdicts.items() if verdict != "ok"}
            faulty = ", ".join(f"{count} {verdict}" for verdict, count in others.items()) or "0"
            rows.append([name.format(kind.replace("_", " ")), f"{sum(verdicts.values()):,}", faulty])
    listed = ", ".join(f"{count} {how}" for how, count in sorted(data["interruptions"].items(), key=lambda item: -item[1]))
    total = sum(data["interruptions"].values())
    note = fill(f"{total:,} interruptions: {listed}. {data['note']} On {data['cpu']}, one thread.", 124) + "\n"
    return table(["cases", "number", "faults of the product"], rows) + "\n" + note


def benchmarks() -> str:
    """Table with a row for each benchmark."""
    frechet = [row for row in read("frechet")["rows"] if row["dim"] == 2048]
    loop, costing, elastic, data = read("loop_overhead"), read("costing"), read("elastic"), read("data_loading")
    workers, candidate = read("search_workers"), read("candidate_cost")
    seconds = candidate["here"]["seconds"]
    slowest = min(row["configurations_per_second"] for row in costing["rows"])
    ratios = [row["elastic_over_slim"] for row in elastic["rows"]]
    loaded = data["ratio_loaded_to_consumed"]
    rows = [
        [f"loop, ngf {r['ngf']}", f"{r['added_us']:.0f} µs on {r['bare_ms']:.1f} ms ({r['added_percent']:.1f} %)"]
        for r in loop["rows"]
    ]
    rows += [
        ["configurations costed", f"at least {slowest / 1e6:.1f} million a second on one core"],
        ["elastic forward over the slim network's", f"{min(ratios):.2f} to {max(ratios):.2f}"],
        [
            "Fréchet, 300 images of 2048 features",
            f"{min(r['speedup'] for r in frechet):.0f}x faster than scipy's root at least",
        ],
        [
            "search candidates a minute, four workers beside one",
            f"{workers['four_beside_one']:.2f}x at {workers['seconds_of_a_candidate']:g} s a candidate",
        ],
        [
            f"a candidate on {candidate['images']} images of {candidate['size']} x {candidate['size']}",
            f"{seconds['generate']:.1f} s of generating, {seconds['extract']:.1f} s of features, "
            f"{seconds['everything_else']:.1f} s of all else ({candidate['here']['everything_else_percent']:.1f} %)",
        ],
        [
            "the same by files, scipy's root and image by image",
            f"{candidate['published_way_of_the_first']['seconds']['all']:.0f} s",
        ],
        ["pairs loaded over pairs consumed", ", ".join(f"{ratio:.1f} with {n} workers" for n, ratio in loaded.items())],
    ]
    return table(["what", "measured"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "quickstart": quickstart,
    "maps64": maps64,
    "ablations": ablations,
    "inheritance": inheritance,
    "halving": halving,
    "cat64": cat64,
    "camvid": camvid,
    "johnson128": johnson128,
    "time_to_quality": time_to_quality,
    "latents-cats64": partial(latents, "cats64"),
    "latents-cifar10": partial(latents, "cifar10"),
    "horse2zebra-smoke": horse2zebra_smoke,
    "faults": faults,
    "benchmarks": benchmarks,
}


def filled(text: str) -> str:
    """Text of a page with its blocks filled from the result files."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]]() + match[3], text)


def main() -> None:
    """Fill the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
