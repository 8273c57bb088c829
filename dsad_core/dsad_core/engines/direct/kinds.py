"""What an operator of the kernels is, and how it works: the enumerations of program.hpp."""

from enum import IntEnum


class Kind(IntEnum):
    """Mirror of ``Kind``."""

    LOAD = 0
    STORE = 1
    CONV = 2
    CHANNELS = 3
    ATTEND = 4
    RESIZE = 5
    POOL = 6
    POINTWISE = 7
    GLOBAL = 8
    EXTEND = 9
    WINOGRAD = 10
    NORMALISE = 11
    CONV_BYTES = 12
    FLOATS = 13


#: Modes of a convolution.
CONV_RELU, CONV_ADD, CONV_GATE = 1, 2, 4
#: Modes of an Attend.
ATTEND_CONV, ATTEND_AXES, ATTEND_CHANNELS = 1, 2, 4
#: Beside either: the outputs find no room in the caches.
STREAM = 8
#: Beside a mode: planes of bytes, four channels in each.
BYTES_OUT, BYTES_IN = 16, 32
#: Functions of a Pointwise, and which operand is one number.
POINT = {"Relu": 0, "Sigmoid": 1, "Add": 2, "Mul": 3}
LEFT_SCALAR, RIGHT_SCALAR = 4, 8
