// Training kernels of narrow networks on a CPU; plain C interface, used by library.py.
#include <malloc.h>

#include "block_backward.hpp"
#include "layer.hpp"

namespace {
constexpr int VERSION = 1;  // of this interface; library.py refuses another
thread_local Workspace workspace;
}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int train_version() { return VERSION; }
EXPORT int train_block_bytes() { return sizeof(Block); }
EXPORT int train_layer_bytes() { return sizeof(Layer); }

// Lets the process keep the memory that it frees. A step frees and takes again what it took; handed back to
// the system in between, every page of it costs a fault.
EXPORT void train_keep_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
#endif
}

// Floats that a forward pass keeps for its backward one.
EXPORT long train_block_saved(const Block* block) { return Memory(*block, nullptr).floats; }

// 0, or 1 where there is no memory.
EXPORT int train_block_forward(const Block* block) {
    const Block& b = *block;
    const long kept = Memory(b, nullptr).floats;
    const long image = rounded(long(b.height + 1) * (b.width + 1), LINE);
    if (!workspace.open((b.saved ? 0 : kept) + packed_for(b) + 4 * b.images * image + 4 * b.hidden +
                        4 * LINE))
        return 1;
    const Memory memory(b, b.saved ? b.saved : workspace.take(kept));
    block_forward(b, memory, workspace);
    return 0;
}

EXPORT int train_block_backward(const Block* block) {
    const Block& b = *block;
    const Memory memory(b, b.saved);
    if (!workspace.open(Gradients::floats(b, memory) + packed_for(b) + block_sums_floats(b) +
                        5 * b.images * memory.grid.image + 4 * b.hidden + 4 * LINE))
        return 1;
    block_backward(b, memory, workspace);
    return 0;
}

EXPORT int train_conv_forward(const Layer* layer) { return !conv_forward(*layer, workspace); }
EXPORT int train_conv_backward(const Layer* layer) { return !conv_backward(*layer, workspace); }

EXPORT int train_resize_forward(const Layer* layer) { return resize_layer(*layer, false), 0; }
EXPORT int train_resize_backward(const Layer* layer) { return resize_layer(*layer, true), 0; }

EXPORT int train_pool_forward(const Layer* layer) {
    const Layer& l = *layer;
    return pool2(l.x, l.out, l.images * l.inputs, l.height, l.width, l.threads), 0;
}

EXPORT int train_pool_backward(const Layer* layer) {
    const Layer& l = *layer;
    return pool2_backward(l.x, l.out_gradient, l.x_gradient, l.images * l.inputs, l.height, l.width,
                          l.threads),
           0;
}
