"""What the public TFLite schema (version 3) calls things: operators, number types, and the options octopix reads.

Positions in the tuples are the schema's enum values; slots are its field numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flatbuffers import number_types

_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION
LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR
ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND
COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1
UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE
STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE
STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE
DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
STABLEHLO_CASE
"""
OPERATOR_NAMES = tuple(_NAMES.split())
"""Name of each builtin operator, by its code."""

CUSTOM = OPERATOR_NAMES.index("CUSTOM")


@dataclass(frozen=True)
class DType:
    """A tensor's number type. ``bits`` is None where the size of an element is not fixed."""

    name: str
    bits: int | None


DTYPES = (
    DType("float32", 32),
    DType("float16", 16),
    DType("int32", 32),
    DType("uint8", 8),
    DType("int64", 64),
    DType("string", None),
    DType("bool", 8),
    DType("int16", 16),
    DType("complex64", 64),
    DType("int8", 8),
    DType("float64", 64),
    DType("complex128", 128),
    DType("uint64", 64),
    DType("resource", None),
    DType("variant", None),
    DType("uint32", 32),
    DType("uint16", 16),
    DType("int4", 4),
    DType("bfloat16", 16),
    DType("int2", 2),
    DType("uint4", 4),
)
"""Number types, by their code."""

BITS: Mapping[str, int | None] = {each.name: each.bits for each in DTYPES}


@dataclass(frozen=True)
class Field:
    """One field of an operator's options."""

    name: str
    slot: int
    kind: Any
    """A class of ``flatbuffers.number_types``."""
    default: int = 0
    least: int | None = None
    """Smallest meaningful value: a stride of 0 is a damaged file."""
    words: tuple[str, ...] = ()
    """Names of the enum values, if it is an enum."""
    vector: bool = False


@dataclass(frozen=True)
class Options:
    """The options table of an operator: its code in the schema's union, and the fields octopix reads."""

    union: int
    fields: tuple[Field, ...]


_INT8, _INT32, _BOOL = number_types.Int8Flags, number_types.Int32Flags, number_types.BoolFlags
_FLOAT32 = number_types.Float32Flags


def _padding() -> Field:
    return Field("padding", 0, _INT8, words=("SAME", "VALID"))


def _activation(slot: int) -> Field:
    return Field("activation", slot, _INT8, words=("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"))


def _strides() -> tuple[Field, Field]:
    return Field("stride_w", 1, _INT32, least=1), Field("stride_h", 2, _INT32, least=1)


def _dilations(slot: int) -> tuple[Field, Field]:
    return Field("dilation_w", slot, _INT32, 1, least=1), Field("dilation_h", slot + 1, _INT32, 1, least=1)


def _block_size() -> tuple[Field]:
    return (Field("block_size", 0, _INT32, least=1),)


def _windows() -> Options:
    window = Field("filter_w", 3, _INT32, least=1), Field("filter_h", 4, _INT32, least=1)
    return Options(5, (_padding(), *_strides(), *window, _activation(5)))


def _reduction() -> Options:
    return Options(27, (Field("keep_dims", 0, _BOOL),))


def _resize(union: int, slot: int) -> Options:
    return Options(union, (Field("align_corners", slot, _BOOL), Field("half_pixel_centers", slot + 1, _BOOL)))


OPTIONS: Mapping[str, Options] = {
    "ADD": Options(11, (_activation(0),)),
    "AVERAGE_POOL_2D": _windows(),
    "BATCH_MATMUL": Options(101, (Field("adj_x", 0, _BOOL), Field("adj_y", 1, _BOOL))),
    "CONCATENATION": Options(10, (Field("axis", 0, _INT32), _activation(1))),
    "CONV_2D": Options(1, (_padding(), *_strides(), _activation(3), *_dilations(4))),
    "DEPTHWISE_CONV_2D": Options(
        2, (_padding(), *_strides(), Field("depth_multiplier", 3, _INT32), _activation(4), *_dilations(5))
    ),
    "DEPTH_TO_SPACE": Options(94, _block_size()),
    "DIV": Options(29, (_activation(0),)),
    "FULLY_CONNECTED": Options(8, (_activation(0), Field("keep_num_dims", 2, _BOOL))),
    "GATHER": Options(23, (Field("axis", 0, _INT32), Field("batch_dims", 1, _INT32))),
    "L2_POOL_2D": _windows(),
    "LEAKY_RELU": Options(75, (Field("alpha", 0, _FLOAT32),)),
    "MAX_POOL_2D": _windows(),
    "MEAN": _reduction(),
    "MIRROR_PAD": Options(77, (Field("mode", 0, _INT8, words=("REFLECT", "SYMMETRIC")),)),
    "MUL": Options(21, (_activation(0),)),
    "PACK": Options(59, (Field("axis", 1, _INT32),)),
    "REDUCE_MAX": _reduction(),
    "REDUCE_MIN": _reduction(),
    "REDUCE_PROD": _reduction(),
    "RESHAPE": Options(17, (Field("new_shape", 0, _INT32, vector=True),)),
    "RESIZE_BILINEAR": _resize(15, 2),
    "RESIZE_NEAREST_NEIGHBOR": _resize(74, 0),
    "SPACE_TO_DEPTH": Options(19, _block_size()),
    "STRIDED_SLICE": Options(
        32,
        (
            Field("begin_mask", 0, _INT32),
            Field("end_mask", 1, _INT32),
            Field("ellipsis_mask", 2, _INT32),
            Field("new_axis_mask", 3, _INT32),
            Field("shrink_axis_mask", 4, _INT32),
        ),
    ),
    "SUB": Options(28, (_activation(0),)),
    "SUM": _reduction(),
    "TRANSPOSE_CONV": Options(49, (_padding(), *_strides(), _activation(3))),
}
"""Options by operator. Operators that are not listed have none that octopix needs."""
