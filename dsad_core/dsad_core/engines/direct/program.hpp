// What library.py hands over: a program is a list of operators, each with pointers to its planes.
//
// A feature map is a list of planes, one a channel. A plane is rows of `stride` floats, of which the
// first `width` hold the map and the rest stays zero; zero rows lie above and below it. So the
// neighbours of every pixel can be read without a check: left of a row is the end of the one before.
#pragma once
#include <cstdint>

// Both structures are mirrored field by field in library.py.

// How a map is made of a smaller or larger one: its first source row and column, and the share of the next.
struct Sampling {
    int32_t height, width, stride, unused;  // of the source
    const int32_t *rows, *columns;
    const float *row_shares, *column_shares;
    const int8_t* pairs;  // of columns, for planes of bytes, see bytes.hpp
};

struct Op {
    int32_t kind, items, band;               // `items` bands of `band` rows of the output
    int32_t inputs, outputs;                 // planes
    int32_t height, width, stride;           // of the output planes
    int32_t in_height, in_width, in_stride;  // of the input planes; ATTEND: of the side planes
    int32_t taps, block;                     // kernel positions; channels in a block of weights, or a group
    int32_t mode;                            // bit flags or a function, by kind
    int32_t side_inputs, side_taps;
    int32_t hidden;     // width of the gate's inner layer
    int32_t shortcuts;  // CONV: outputs of a 1x1 convolution of the same inputs, behind `outputs`
    const float* const* in;
    float* const* out;
    const float* weights;       // [block of outputs][input][tap][output in block]
    const float* bias;          // NORMALISE: what is added to a variance
    const int32_t* offsets;     // of each tap from the pixel, in floats
    const float* const* side;   // second operand: residual, gated map, mean and maximum
    const float* side_weights;  // ATTEND: biases, then [output][input][tap]; CONV: the shortcut's
    const float* const* gated;  // ATTEND: the map that the attention multiplies
    float* gate;                // a factor a channel
    float* partial;             // CONV: sums and maxima, [item][channel][2][lanes]
    const float* gate_weights;  // first layer [hidden][channel], bias, second layer, bias; ATTEND: bytes a
                                // unit of each output, then units a byte of each side input
    const Sampling* const* sampling;  // RESIZE, WINOGRAD: how each input is sampled; nullptr as it is
};

enum Kind {
    LOAD,
    STORE,
    CONV,
    CHANNELS,
    ATTEND,
    RESIZE,
    POOL,
    POINTWISE,
    GLOBAL,
    EXTEND,
    WINOGRAD,
    NORMALISE,
    CONV_BYTES,
    FLOATS
};
enum ConvMode { CONV_RELU = 1, CONV_ADD = 2, CONV_GATE = 4 };
enum AttendMode { ATTEND_CONV = 1, ATTEND_AXES = 2, ATTEND_CHANNELS = 4 };
constexpr int BYTES_OUT = 16, BYTES_IN = 32;  // beside a mode: planes of bytes, four channels in each
constexpr int STREAM = 8;  // beside a ConvMode or AttendMode: the outputs find no room in the caches
enum PointMode {
    POINT_RELU,
    POINT_SIGMOID,
    POINT_ADD,
    POINT_MULTIPLY,
    POINT_FUNCTION = 3,
    LEFT_SCALAR = 4,
    RIGHT_SCALAR = 8
};
enum GlobalMode { GLOBAL_MEAN, GLOBAL_MAX };

struct Frame {
    const float* image;
    float* logits;
};
