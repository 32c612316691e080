"""The stages of a run in order, with a file between any two, so that each can be killed, resumed and rerun alone."""

import pocketgan.methods
import pocketgan.models  # noqa: F401  (both fill their registries)
