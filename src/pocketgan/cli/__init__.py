"""The command line: one file a command, no logic. Only the command that is asked for is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

COMMANDS = {
    "quickstart": "the main job on built-in data: train, compress, evaluate, export, report",
    "train": "train a teacher on paired (pix2pix) or unpaired (CycleGAN) images",
    "compress": "make a small generator from a trained one, within a budget",
    "compare": "several methods, budgets and seeds: one table, one plot",
    "evaluate": "measure an artifact's images on data",
    "stats": "statistics of real images for the Frechet distance, once",
    "generate": "images of a generator that generates from random numbers, or in many styles",
    "export": "write an artifact for a device, verified",
    "convert": "a published checkpoint to an artifact, or an artifact back to the published names",
    "inspect": "groups, widths, costs in both counts, floor of the budget",
    "latency": "milliseconds of several artifacts, interleaved in one run",
    "report": "one HTML page from one or more runs",
    "models": "the architectures there are",
    "methods": "the methods and objectives there are",
    "recipes": "complete configurations to begin from",
    "data": "list, describe, check, prepare and download data sets",
}
"""Every command and what it is for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well, 2 for a mistake of the user, 130 when interrupted."""
    # Before torch is loaded: threads that spin while they wait are a little quicker on an idle machine, but make every step
    # many times slower as soon as anything else wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from pocketgan.cli.several import run_together

        return run_together(words, _main)
    from pocketgan.cli.console import show_error

    return _main(words, show_error)


def _main(words: Sequence[str], report_error: Callable[[str], None], *, loud: bool = True) -> int:
    """The status of one command; what goes wrong is given to ``complain``."""
    from pocketgan.cli.console import show_commands

    command, *rest = words
    if command in ("-h", "--help", "help"):
        show_commands(COMMANDS)
        return 0
    if command in ("-V", "--version"):
        from importlib.metadata import version

        print(version("pocketgan"))
        return 0
    try:
        if command not in COMMANDS:
            from pocketgan.utils.errors import unknown

            raise unknown("command", command, COMMANDS)
        import tyro

        module = importlib.import_module(f"pocketgan.cli.{command}")
        summary = module.run.__doc__.split("\n\n")[0]
        tyro.cli(module.run, prog=f"pocketgan {command}", args=rest, description=summary, console_outputs=loud)
    except (ValueError, OSError) as error:  # what the user asked for, or what the disk refuses
        report_error(str(error))
        return 2
    except KeyboardInterrupt:
        report_error("interrupted; the same command with --resume goes on from the last checkpoint")
        return 130
    return 0
