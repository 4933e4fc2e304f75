/* Fuzzing of the kernel with libFuzzer: every file is offered, and a file that is accepted is run.
 *
 * The sanitizers watch reads and writes: the file and the memory are heap blocks of exactly their size. What they cannot see is
 * asserted here: size and load agree, memory one byte too small is refused, the file is never written, and results depend neither
 * on what the memory held before nor on how calls are grouped.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinylstm.h"

enum { CALLS = 3 };

#define PROMISE(holds)                                                                                                            \
    do {                                                                                                                          \
        if (!(holds)) {                                                                                                           \
            fprintf(stderr, "broken promise, line %d: %s\n", __LINE__, #holds);                                                   \
            abort();                                                                                                              \
        }                                                                                                                         \
    } while (0)

static void *block(size_t bytes, int fill) { /* a block that may not be read or written beyond its end */
    void *const got = malloc(bytes ? bytes : 1);
    PROMISE(got);
    return memset(got, fill, bytes);
}

static void run(const uint8_t *model, uint32_t bytes, uint32_t size) {
    void *const memory = block(size, 0xa5), *const other = block(size, 0x3c);
    if (size) {
        void *const small = block(size - 1, 0);
        PROMISE(tinylstm_load(model, bytes, small, size - 1) == TINYLSTM_MEMORY);
        free(small);
    }
    PROMISE(tinylstm_load(model, bytes, memory, size) == TINYLSTM_OK);
    PROMISE(tinylstm_load(model, bytes, other, size) == TINYLSTM_OK);
    const int32_t in = tinylstm_inputs(memory), out = tinylstm_outputs(memory);
    PROMISE(in > 0 && out > 0 && in == tinylstm_inputs(other) && out == tinylstm_outputs(other));
    int8_t *const x = block((size_t)in * CALLS, 0), *const y = block((size_t)out * CALLS, 1), *const again = block((size_t)out * CALLS, 2);
    uint32_t random = bytes;
    for (int32_t i = 0; i < in * CALLS; i++) {
        random = random * 1664525 + 1013904223;
        x[i] = (int8_t)(random >> 24);
    }
    PROMISE(tinylstm_run(model, memory, x, y, CALLS) == TINYLSTM_OK);
    for (int call = 0; call < CALLS; call++) {
        PROMISE(tinylstm_run(model, other, x + call * in, again + call * out, 1) == TINYLSTM_OK);
    }
    PROMISE(!memcmp(y, again, (size_t)out * CALLS));
    tinylstm_reset(memory);
    PROMISE(tinylstm_run(model, memory, x, again, CALLS) == TINYLSTM_OK);
    PROMISE(!memcmp(y, again, (size_t)out * CALLS));
    free(memory);
    free(other);
    free(x);
    free(y);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const size_t unaligned = bytes & 3; /* a file may lie at any address */
    uint8_t *const room = block(bytes + unaligned, 0), *const model = room + unaligned;
    if (bytes) {
        memcpy(model, data, bytes);
    }
    const int32_t size = tinylstm_size(model, (uint32_t)bytes);
    PROMISE(size >= TINYLSTM_MEMORY);
    if (size < 0) {
        uint32_t memory[16];
        PROMISE(tinylstm_load(model, (uint32_t)bytes, memory, sizeof memory) == size);
    } else {
        run(model, (uint32_t)bytes, (uint32_t)size);
    }
    PROMISE(!bytes || !memcmp(model, data, bytes));
    free(room);
    return 0;
}
