"""A command in several processes, started by ``torchrun`` or ``accelerate launch``: one of them speaks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout

from pocketgan.cli import COMMANDS
from pocketgan.cli.console import show_error
from pocketgan.training.distributed import leave, processes

TRAINING = ("train", "compress", "quickstart", "recipes")
"""The commands that several processes share; the others would all do the same work."""


def run_together(words: Sequence[str], job: Callable[..., int]) -> int:
    """The status of ``job``. The first process speaks; of all errors, only that which came first is shown."""
    try:
        world = processes()
    except (ValueError, RuntimeError) as error:
        show_error(f"the processes do not find each other: {str(error).splitlines()[0]}")
        return 2

    def report_error(text: str) -> None:
        world.report_error(lambda: show_error(text))

    with ExitStack() as silence:
        if not world.is_main:
            silence.enter_context(redirect_stdout(silence.enter_context(open(os.devnull, "w"))))
            silence.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        if words[0] in COMMANDS and words[0] not in TRAINING:
            report_error(f"'{words[0]}' runs in one process; in several there is: {', '.join(TRAINING)}")
            return 2
        try:
            status = job(words, report_error, loud=world.is_main)
        except SystemExit:  # the words were help, or wrong, in all processes alike: the first one has said so
            world.barrier()
            raise
    if status == 0:
        leave()  # after an error the others may be anywhere: they notice when this process ends
    return status
