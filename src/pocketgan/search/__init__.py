"""Search over the widths of a once-for-all network, by any number of workers.

`space` defines the configurations, `strategies` proposes them, `fitness` scores them, `halving` decides which candidates are
scored on more images, and `study` runs the search.
"""
