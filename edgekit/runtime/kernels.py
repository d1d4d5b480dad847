"""Which kernels a runtime took for the layers that have weights, and whether they are what a bundle promises.

A runtime takes every graph; what it makes of a layer shows only in what it compiled. OpenVINO on ARM runs INT8
convolutions on reference kernels, ONNX Runtime leaves a layer in floating point whose input is not quantized: both give
answers, and neither is the gain that INT8 was built for.
"""

import os
import re
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .errors import BundleError
from .onnx_nodes import FLOAT16, Node, read_graph
from .quiet import no_telemetry
from .shown import first_line

INTEGER = ("i8", "u8", "i4", "u4")
"""Precisions of integer kernels."""

JUDGED = ("int8", "mixed", "fp16")
"""Precisions of networks that promise kernels of their own."""

HOT_SHARE = 0.05
"""Layers that take this part of the time of all matter."""
HOT_LAYERS = 0.1
"""Where times are not known, this part of the layers does."""

SHOWN = 3
"""Names and kernels that a sentence tells."""


class Kernel(NamedTuple):
    """How a runtime computes one layer that has weights.

    layer: its name, as the runtime kept it; kind: what it is, as the runtime calls it; primitive: the kernel that was
    taken; precision: that it computes in, such as "i8", "f16" or "f32"; quantized: whether the graph has INT8 weights
    for it; share: of the time of all layers, 0 to 1, None where they were not timed.
    """

    layer: str
    kind: str
    primitive: str
    precision: str
    quantized: bool
    share: Optional[float] = None

    @property
    def is_integer(self) -> bool:
        """Whether products are made of integers."""
        return self.precision in INTEGER

    @property
    def is_reference(self) -> bool:
        """Whether it is the plain kernel that is right and slow."""
        return self.primitive.lower().startswith("ref")


class KernelFindings(NamedTuple):
    """What is to be said of the kernels of a network.

    precision: of the network; layers: that have weights; as_built: those of them on kernels of that precision;
    reference: those on reference kernels; floating: other quantized ones that compute in floating point; primitives:
    the kernels of `as_built`, or of all where there are none, and how many layers each has, the most frequent first.
    """

    precision: str
    layers: int
    as_built: int
    reference: Tuple[Kernel, ...]
    floating: Tuple[Kernel, ...]
    primitives: Tuple[Tuple[str, int], ...]

    @property
    def wrong(self) -> bool:
        """Whether enough layers, or hot ones, run otherwise than the precision says for it to be no gain."""
        if self.precision == "fp16":
            return self.as_built * 2 < self.layers
        if self.precision == "int8" and self.layers and not self.as_built:
            return True
        return _matter(self.reference, self.layers) or _matter(self.floating, self.layers)

    def sentence(self) -> str:
        """One line for people."""
        if not self.layers:
            return "no layer with weights was found in what the runtime compiled"
        if self.precision == "fp16":
            told = "FP16: %d of %d layers compute in FP16 (%s)" % (self.as_built, self.layers, self._kernels())
            return "%s: it is no gain here" % told if self.wrong else told
        kernels = self._kernels() if self.as_built else ""
        parts = ["INT8: %d of %d layers on integer kernels%s" % (
            self.as_built, self.layers, " (%s)" % kernels if kernels else "")]  # fmt: skip
        if self.reference:
            parts.append("%s on reference kernels (%s)" % (_counted(self.reference), _named(self.reference)))
        if self.floating:
            parts.append("%s in floating point although quantized (%s)" % (
                _counted(self.floating), _named(self.floating)))  # fmt: skip
        if self.wrong:
            parts[-1] += ": INT8 is no gain %shere" % ("for them " if self.as_built else "")
        return "; ".join(parts)

    def _kernels(self) -> str:
        names = [name for name, _ in self.primitives]
        return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def findings_of(kernels: Sequence[Kernel], precision: str) -> KernelFindings:
    """What is wrong with the kernels of a network that was built in a precision (int8, mixed, fp16, ...)."""
    right = [each for each in kernels if _as_built(each, precision)]
    reference = tuple(each for each in kernels if each.is_reference)
    floating = tuple(each for each in kernels if each.quantized and not each.is_integer and not each.is_reference)
    counts: Dict[str, int] = {}
    for each in right or kernels:
        counts[each.primitive] = counts.get(each.primitive, 0) + 1
    ordered = tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return KernelFindings(precision, len(kernels), len(right), reference, floating, ordered)


def with_times(kernels: Sequence[Kernel], microseconds: Mapping[str, float]) -> Tuple[Kernel, ...]:
    """The same kernels with their share of the time of all layers, by name; a layer that was not timed has none."""
    whole = sum(microseconds.values())
    return tuple(
        each._replace(share=microseconds[each.layer] / whole) if whole and each.layer in microseconds else each
        for each in kernels
    )


def _as_built(kernel: Kernel, precision: str) -> bool:
    if kernel.is_reference:
        return False
    return kernel.precision in ("f16", "fp16") if precision == "fp16" else kernel.is_integer


def _matter(found: Sequence[Kernel], layers: int) -> bool:
    shares = [each.share for each in found if each.share is not None]
    if shares:
        return sum(shares) >= HOT_SHARE
    return bool(found) and len(found) >= HOT_LAYERS * layers


def _counted(found: Sequence[Kernel]) -> str:
    shares = [each.share for each in found if each.share is not None]
    return "%d%s" % (len(found), ", %.0f %% of the time," % (100 * sum(shares)) if shares else "")


def _named(found: Sequence[Kernel]) -> str:
    """The kernels, and the first layers that they compute; the hottest first where that is known."""
    ordered = sorted(found, key=lambda each: -(each.share or 0.0))
    kinds = sorted({each.primitive for each in found})
    names = ", ".join(each.layer for each in ordered[:SHOWN])
    more = " and %d more" % (len(found) - SHOWN) if len(found) > SHOWN else ""
    return "%s: %s%s" % (", ".join(kinds[:SHOWN]), names, more)


OPENVINO_LAYERS = frozenset(["Convolution", "Deconvolution", "FullyConnected", "MatMul"])
"""Layers with weights, as OpenVINO's processor plugin calls them."""
OPENVINO_OPERATORS = frozenset(
    ["Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul"]
)
"""The operators that they are made of."""
OPENVINO_TYPES = re.compile(r"^(i8|u8|i4|u4|bf16|f16|f32|f64|i32)$")


def of_openvino(compiled: Any, source: Any) -> List[Kernel]:
    """The kernels of a network that OpenVINO compiled for a processor.

    Args:
        compiled: openvino.CompiledModel, whose execution graph tells layerType, primitiveType and runtimePrecision of
            each layer; source: openvino.Model that it was compiled from.
    """
    quantized, known = _quantized_of_openvino(source)
    found = []
    for op in compiled.get_runtime_model().get_ordered_ops():
        told = op.get_rt_info()
        kind = _text(told, "layerType")
        if kind in OPENVINO_LAYERS:
            name, primitive = op.get_friendly_name(), _text(told, "primitiveType")
            last = primitive.rpartition("_")[2].lower()
            precision = last if OPENVINO_TYPES.match(last) else _text(told, "runtimePrecision")
            found.append(Kernel(name, kind, primitive, precision, _origin(name, known) in quantized))
    return found


def _text(told: Any, key: str) -> str:
    """An entry of an operator's runtime information; empty where there is none."""
    if key not in told:
        return ""
    value = told[key]
    return str(value.astype(str)) if hasattr(value, "astype") else str(value)


def _origin(name: str, known: Set[str]) -> str:
    """The operator that a layer was made of: passes put /WORDS or _original behind its name."""
    if name not in known and name.endswith("_original"):
        name = name[: -len("_original")]
    while name and name not in known:
        name = name.rpartition("/")[0]
    return name


def _quantized_of_openvino(source: Any) -> Tuple[Set[str], Set[str]]:
    """Names of the operators with quantized weights, and of all with weights."""
    quantized, known = set(), set()
    for op in source.get_ordered_ops():
        if op.get_type_name() not in OPENVINO_OPERATORS:
            continue
        known.add(op.get_friendly_name())
        node: Any = op.input_value(1).get_node()
        through: List[str] = []
        while node.get_input_size():
            through.append(node.get_type_name())
            node = node.input_value(0).get_node()
        kept = str(node.get_element_type().get_type_name())
        if "FakeQuantize" in through or (node.get_type_name() == "Constant" and kept in INTEGER):
            quantized.add(op.get_friendly_name())
    return quantized, known


INTEGER_OPERATORS = frozenset(
    ["QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat"]
    + ["DynamicQuantizeMatMul", "QAttention"]
)
"""ONNX Runtime's operators that make products of integers."""
FLOAT_OPERATORS = frozenset(
    ["Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"]
)
"""Those that make products of floating-point numbers."""
ADDED = re.compile(r"(_nchwc)?(_token_\d+)?$")
"""To the name of an operator that ONNX Runtime fused or laid out anew."""
MOVING = frozenset(["Transpose", "Reshape", "Cast", "Squeeze", "Unsqueeze"])


def of_onnxruntime(path: str, options: Any) -> List[Kernel]:
    """The operators that ONNX Runtime makes of a graph on a processor, read from the graph that it writes of them.

    Args:
        path: of the ONNX file; options: onnxruntime.SessionOptions that it is run with, which is changed.
    Raises:
        BundleError: the graph cannot be run, or what was made of it cannot be written.
    """
    no_telemetry()
    import onnxruntime

    try:
        with tempfile.TemporaryDirectory(prefix="edgekit-kernels-") as folder:
            made = os.path.join(folder, "made.onnx")
            options.optimized_model_filepath = made
            options.log_severity_level = 3  # it warns that what it writes is for this processor alone, as it should be
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            nodes, types = read_graph(made)
    except Exception as error:  # its errors derive from Exception alone
        raise BundleError("ONNX Runtime does not tell its kernels: %s" % first_line(error))
    makers = {output: node for node in nodes for output in node.outputs}
    return [_of_node(node, makers, types) for node in nodes if node.kind in INTEGER_OPERATORS | FLOAT_OPERATORS]


def _of_node(node: Node, makers: Mapping[str, Node], types: Mapping[str, int]) -> Kernel:
    primitive = "%s.%s" % (node.domain, node.kind) if node.domain else node.kind
    name = ADDED.sub("", node.name)
    if node.kind in INTEGER_OPERATORS:
        return Kernel(name, node.kind, primitive, "i8", True)
    weights = held = node.inputs[1] if len(node.inputs) > 1 else ""
    while weights in makers and makers[weights].kind in MOVING:
        weights = makers[weights].inputs[0]
    dequantized = weights in makers and makers[weights].kind == "DequantizeLinear"
    precision = "f16" if types.get(held) == FLOAT16 else "f32"
    return Kernel(name, node.kind, primitive, precision, dequantized)
