"""fmapsim: what an accelerator costs for a network, from the zero-maps of real images.

    import simulator

    trace = simulator.load_trace("squeezenet1_1")
    report = simulator.simulate(trace, "eyeriss", images=[0], pruning="dynamic")
    print(report.totals["dram_bytes"], report.layers)

Names are imported when they are first used: `import simulator` itself loads neither pandas nor torch.
"""

import gc
import importlib
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.version import VERSION

if TYPE_CHECKING:
    from simulator.api import simulate
    from simulator.extract.extract import extract
    from simulator.hardware.accelerator import Accelerator
    from simulator.hardware.load import load_accelerator, preset_names
    from simulator.machine.pruning import DynamicPruning
    from simulator.mapping.dataflow.sparse.cycles import sparse_cycles
    from simulator.report.compare import compare
    from simulator.report.report import Report
    from simulator.report.save import load_report, save_report
    from simulator.trace.records import Layer
    from simulator.trace.shapes import conv_layer, layer_norm_layer, linear_layer, softmax_layer, trace_from_layers
    from simulator.trace.topology import trace_from_topology
    from simulator.trace.trace import Trace, load_trace, network_trace, network_trace_names, trace_names
    from simulator.trace.transformer import attention_trace, bert_trace, transformer_trace

__version__ = VERSION

_HOMES = {
    "Accelerator": "simulator.hardware.accelerator",
    "DynamicPruning": "simulator.machine.pruning",
    "Layer": "simulator.trace.records",
    "Report": "simulator.report.report",
    "Trace": "simulator.trace.trace",
    "attention_trace": "simulator.trace.transformer",
    "bert_trace": "simulator.trace.transformer",
    "compare": "simulator.report.compare",
    "conv_layer": "simulator.trace.shapes",
    "layer_norm_layer": "simulator.trace.shapes",
    "linear_layer": "simulator.trace.shapes",
    "load_accelerator": "simulator.hardware.load",
    "load_report": "simulator.report.save",
    "load_trace": "simulator.trace.trace",
    "network_trace": "simulator.trace.trace",
    "network_trace_names": "simulator.trace.trace",
    "preset_names": "simulator.hardware.load",
    "save_report": "simulator.report.save",
    "simulate": "simulator.api",
    "softmax_layer": "simulator.trace.shapes",
    "sparse_cycles": "simulator.mapping.dataflow.sparse.cycles",
    "trace_from_layers": "simulator.trace.shapes",
    "trace_from_topology": "simulator.trace.topology",
    "trace_names": "simulator.trace.trace",
    "transformer_trace": "simulator.trace.transformer",
}


def __getattr__(name: str) -> Any:
    if name == "extract":  # a package that can be called
        return importlib.import_module("simulator.extract")
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    value = getattr(_loaded(_HOMES[name]), name)
    globals()[name] = value
    return value


def _loaded(module: str) -> Any:
    """The module. What loading makes stays, so looking for garbage meanwhile would only take time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if collecting:
            gc.enable()


__all__ = [
    "Accelerator",
    "DynamicPruning",
    "InputError",
    "Layer",
    "Report",
    "Trace",
    "__version__",
    "attention_trace",
    "bert_trace",
    "compare",
    "conv_layer",
    "extract",
    "layer_norm_layer",
    "linear_layer",
    "load_accelerator",
    "load_report",
    "load_trace",
    "network_trace",
    "network_trace_names",
    "preset_names",
    "save_report",
    "simulate",
    "softmax_layer",
    "sparse_cycles",
    "trace_from_layers",
    "trace_from_topology",
    "trace_names",
    "transformer_trace",
]
