/* TinyLSTM: runs int8 LSTM models (.tflite files) with exactly the integers of TensorFlow Lite Micro's reference kernels.
 *
 * One C99 file, no heap, no C library, no floating point, no writable static data. The model file is read in place: it may lie
 * at any address, in flash, and is never written. `memory` is the caller's, aligned to 4 bytes; it holds the prepared model and
 * its state as offsets and integers, no pointers, so a copy of it is a saved state. Give the same model bytes to every call.
 * Files come from anywhere: every access is checked against the end of the file when it is loaded, and a file that is refused
 * is not run. `memory` itself is trusted: hand back only what `tinylstm_load` filled.
 */
#ifndef TINYLSTM_H
#define TINYLSTM_H

#include <stdint.h>

#ifndef TINYLSTM_API
#if defined(__GNUC__)
#define TINYLSTM_API __attribute__((visibility("default")))
#else
#define TINYLSTM_API
#endif
#endif

/* Why a file is refused: the reasons of ModelError in zenmoon_edge.core. */
enum {
    TINYLSTM_OK = 0,
    TINYLSTM_IDENTIFIER = -1, /* no .tflite file */
    TINYLSTM_TRUNCATED = -2,  /* points outside itself */
    TINYLSTM_SCHEMA = -3,     /* another version, a graph of another form */
    TINYLSTM_OPERATOR = -4,   /* an operator, or a setting of one, that is not supported */
    TINYLSTM_TYPE = -5,       /* a tensor of another type */
    TINYLSTM_SHAPE = -6,      /* a tensor of another shape */
    TINYLSTM_SCALE = -7,      /* a scale or zero point that has no exact arithmetic */
    TINYLSTM_RANGE = -8,      /* a row of weights whose sum can leave 32 bits */
    TINYLSTM_MEMORY = -9      /* memory too small, not aligned, or not filled by tinylstm_load */
};

/* Bytes of memory that the model needs beyond the file, or why it is refused (< 0). */
TINYLSTM_API int32_t tinylstm_size(const void *model, uint32_t model_bytes);

/* Prepares the model in `memory` and resets its state. TINYLSTM_OK or a reason. */
TINYLSTM_API int32_t tinylstm_load(const void *model, uint32_t model_bytes, void *memory, uint32_t memory_bytes);

/* Forgets everything: the state after loading. */
TINYLSTM_API void tinylstm_reset(void *memory);

/* int8 values of one call: time steps x features of the file, and all output tensors side by side in the file's order. */
TINYLSTM_API int32_t tinylstm_inputs(const void *memory);
TINYLSTM_API int32_t tinylstm_outputs(const void *memory);

/* Runs `calls` calls one after the other; the state carries over. `input` holds calls x inputs values, `output` receives
 * calls x outputs. TINYLSTM_OK or TINYLSTM_MEMORY. */
TINYLSTM_API int32_t tinylstm_run(const void *model, void *memory, const int8_t *input, int8_t *output, uint32_t calls);

#endif
