/* Offers kept files to the fuzzing target without libFuzzer: any compiler with the sanitizers will do.
 *
 * Reads from standard input, per file: u32 bytes, the file. Writes a line per file: what tinylstm_size says, then for an accepted
 * file of few inputs and outputs the int8 results of three calls on the inputs 0, 7, 14 … modulo 256.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tinylstm.h"

enum { CALLS = 3, FEW = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void results(const uint8_t *model, uint32_t bytes, int32_t size) {
    void *const memory = malloc((size_t)size + 1);
    if (!memory || tinylstm_load(model, bytes, memory, (uint32_t)size)) {
        abort();
    }
    const int32_t in = tinylstm_inputs(memory), out = tinylstm_outputs(memory);
    if (in <= FEW && out <= FEW) {
        int8_t x[CALLS * FEW], y[CALLS * FEW];
        for (int i = 0; i < CALLS * in; i++) {
            x[i] = (int8_t)(i * 7 & 255);
        }
        tinylstm_run(model, memory, x, y, CALLS);
        for (int i = 0; i < CALLS * out; i++) {
            printf(" %d", y[i]);
        }
    }
    free(memory);
}

int main(void) {
    uint32_t bytes;
    while (fread(&bytes, 1, sizeof bytes, stdin) == sizeof bytes) {
        uint8_t *const data = malloc((size_t)bytes + 1);
        if (!data || fread(data, 1, bytes, stdin) != bytes) {
            return 2;
        }
        LLVMFuzzerTestOneInput(data, bytes);
        const int32_t size = tinylstm_size(data, bytes);
        printf("%d", size < 0 ? size : 0);
        if (size >= 0) {
            results(data, bytes, size);
        }
        printf("\n");
        fflush(stdout);
        free(data);
    }
    return 0;
}
