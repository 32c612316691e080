"""Search over the widths of a once-for-all network: spaces, strategies, many workers, fewer images.

`space` says which widths there are, `evolution` and `strategies` which to try next, `study` runs a search in as many
processes as are started, `fitness` how good they are, `halving` who is scored on more images than the others.
"""
