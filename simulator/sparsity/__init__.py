"""What the zeros of a trace look like: by granularity, as runs, and under every codec.

from simulator.sparsity import sparsity

table = sparsity(simulator.load_trace("mobilenet_v2"))
"""

from simulator.sparsity.table import sparsity

__all__ = ["sparsity"]
