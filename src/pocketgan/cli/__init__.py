"""The command line: each command parses flags, calls the pipeline and prints. Only the requested command is imported."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from pocketgan.cli.streams import OutputClosed, ignore_workers, safe_streams, terminable

COMMANDS = {
    "quickstart": "train a teacher on built-in images, compress it, evaluate, export",
    "train": "train a generator: pix2pix, CycleGAN, GauGAN, MUNIT, SAGAN, ...",
    "compress": "make a small generator from a trained one, within a budget",
    "compare": "several methods, budgets and seeds: one table, one plot",
    "evaluate": "quality of a generator on the test images of a data set",
    "stats": "statistics of real images for the Frechet distance",
    "generate": "images of seeds or styles, videos between them",
    "export": "write a generator for a device, verified",
    "convert": "published checkpoint to artifact, or artifact to checkpoint",
    "inspect": "channel groups, widths and costs of a generator",
    "latency": "milliseconds of generators on the CPU, side by side",
    "report": "one HTML page from one or more runs",
    "models": "list the networks and their options",
    "methods": "list the methods, the objectives and their options",
    "recipes": "list, print and run complete configurations",
    "data": "list, check, download and prepare data sets",
}
"""Every command and its purpose, short enough for a line of help."""

MODULES = {
    **dict.fromkeys(("quickstart", "train", "compress", "compare"), "runs"),
    **dict.fromkeys(("evaluate", "stats", "latency", "inspect"), "measurements"),
    **dict.fromkeys(("convert", "export", "generate", "report"), "outputs"),
    **dict.fromkeys(("models", "methods", "recipes"), "listings"),
    "data": "data",
}
"""Module of `pocketgan.cli` with the function behind each command."""

DISTRIBUTED = ("train", "compress", "quickstart", "recipes")
"""Commands that several processes share; with any other, all processes would do the same work."""

DEBUG = "--debug"
"""Word that shows the trace of an error; it may stand anywhere in a command."""


def command_function(command: str) -> Callable[..., None]:
    """The function behind ``command``. Raises ``ValueError`` for an unknown command, with the nearest spelling."""
    if command not in COMMANDS:
        from pocketgan.utils.registry import unknown

        raise unknown("command", command, COMMANDS)
    function: Callable[..., None] = getattr(importlib.import_module(f"pocketgan.cli.{MODULES[command]}"), command)
    return function


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words after the program's name; by default those of this process. ``--debug`` may stand anywhere.

    Returns:
        0 on success, 2 for a mistake of the user, 70 for an error that nobody expected, 130 after an interruption, 143 after
        SIGTERM, 141 if the reader of the output has left.
    """
    # Before torch is loaded: threads that spin while they wait are a little quicker on an idle machine, but make every step
    # many times slower as soon as anything else wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with safe_streams(), terminable():
            return _run([word for word in words if word != DEBUG] or ["--help"], debug=DEBUG in words)
    except OutputClosed:
        return 141
    except KeyboardInterrupt:  # a second one, while the first was reported
        return 130
    except MemoryError:  # too little is left to report it
        os.write(2, b"error: out of memory: take a smaller batch or smaller images\n")
        return 70


def _run(words: list[str], *, debug: bool) -> int:
    command, *rest = words
    call: partial[None] | None = None
    with _processes() as output:
        try:
            if command in ("-h", "--help", "help"):
                print(help_page())
            elif command in ("-V", "--version"):
                print(version("pocketgan"))
            else:
                if output.is_distributed and command in COMMANDS and command not in DISTRIBUTED:
                    several = ", ".join(DISTRIBUTED)
                    raise ValueError(f"'{command}' runs in one process; commands for several processes: {several}")
                from pocketgan.cli.parser import parsed_call

                importlib.import_module("pocketgan.cli.failure")  # now: with no memory left it could not be loaded
                call = parsed_call(command_function(command), f"pocketgan {command}", rest, show=output.shows)
                call()
            sys.stdout.flush()
        except (SystemExit, OutputClosed):
            raise
        except BaseException as error:  # Rust's panics are no Exception
            ignore_workers()
            from pocketgan.cli.failure import cause_of, explain, status_of

            cause = cause_of(error)
            output.report(partial(_show, error, partial(explain, cause, words, call), debug=debug))
            return status_of(cause)
        output.succeeded = True
    return 0


def _show(error: BaseException, explanation: Callable[[], str], *, debug: bool) -> None:
    from pocketgan.cli.console import show_error

    if debug:
        traceback.print_exception(error)
    show_error(explanation())


@dataclass
class _Output:
    """Output of one process: of several, only the main one prints, and of several errors only the first is shown."""

    report: Callable[[Callable[[], None]], None]
    shows: bool = True
    is_distributed: bool = False
    succeeded: bool = False


@contextmanager
def _processes() -> Iterator[_Output]:
    """Output of this process, joined with others if ``torchrun`` or ``accelerate launch`` started several."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield _Output(lambda show: show())
        return
    from pocketgan.cli.console import show_error
    from pocketgan.training.distributed import leave, processes

    try:
        world = processes()
    except (ValueError, RuntimeError) as error:
        show_error(f"the processes do not find each other: {str(error).splitlines()[0]}")
        raise SystemExit(2) from None
    output = _Output(world.report_error, world.is_main, world.is_distributed)
    with ExitStack() as silence:
        if not world.is_main:
            silence.enter_context(redirect_stdout(silence.enter_context(open(os.devnull, "w"))))
            silence.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        try:
            yield output
        except SystemExit:  # help or wrong words, alike in all processes: the main one has printed them
            world.barrier()
            raise
    if output.succeeded:
        leave()  # after an error the others may be anywhere: they notice when this process ends


def help_page() -> str:
    """Every command with its purpose; fits a terminal of 24 lines and 80 columns."""
    lines = (f"  {command:<11} {summary}" for command, summary in COMMANDS.items())
    return "\n".join(
        [
            "pocketgan: make image-to-image GANs small\n",
            *lines,
            "\nFlags of each: `pocketgan COMMAND --help`. Start with `pocketgan quickstart`.",
            f"`{DEBUG}` in any command shows the trace of an error.",
        ]
    )
