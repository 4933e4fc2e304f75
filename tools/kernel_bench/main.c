/* Runs the kernel on a bare core: reads jobs from the host's file `jobs`, writes outputs and counted ticks to `results`.
 *
 * jobs:    per job 4 x u32 (bytes of the model, calls, calls per tinylstm_run, bytes of the input), model, input, each padded to 4 bytes
 * results: u32 instructions per tick, u32 ticks of 1 000 loop turns, u32 of 101 000; then per job
 *          i32 tinylstm_size, i32 tinylstm_load, i32 outputs per call, u32 ticks of all calls, u32 stack bytes, u32 bytes written
 *          outside the kernel's memory, u32 bytes of the output, then the output, padded to 4 bytes
 */
#include "bare.h"
#include "tinylstm.h"

enum { OPEN = 1, CLOSE = 2, WRITE = 5, READ = 6, READ_BINARY = 1, WRITE_BINARY = 5 };
enum { JOBS = 2500000, OUTPUT = 400000, MEMORY = 32768, REDZONE = 256, PATTERN = 0xa5 };

static uint32_t jobs[JOBS / 4], output[OUTPUT / 4], memory[MEMORY / 4];
extern uint32_t stack_bottom[];

/* A kernel that needs them is measured with them; the report names them. */
void *memset(void *to, int value, uint32_t bytes) {
    for (uint8_t *p = to; bytes; bytes--) {
        *p++ = (uint8_t)value;
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, uint32_t bytes) {
    const uint8_t *q = from;
    for (uint8_t *p = to; bytes; bytes--) {
        *p++ = *q++;
    }
    return to;
}

static int32_t file(const char *name, int32_t mode) {
    uint32_t length = 0;
    while (name[length]) {
        length++;
    }
    const uint32_t block[3] = {(uint32_t)name, (uint32_t)mode, length};
    return bare_host(OPEN, block);
}

static uint32_t transfer(int32_t operation, int32_t handle, const void *data, uint32_t bytes) { /* gives the bytes not moved */
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)data, bytes};
    return (uint32_t)bare_host(operation, block);
}

static uint32_t counted_loop(uint32_t turns) {
    const uint32_t begin = bare_timer();
    bare_loop(turns);
    return bare_timer() - begin;
}

/* Not inlined: the frame that is measured lies below this one's. */
__attribute__((noinline, noclone)) uint32_t counted_calls(const uint8_t *model, void *state, const int8_t *x, int8_t *y, uint32_t calls, uint32_t at_once) {
    const uint32_t in = (uint32_t)tinylstm_inputs(state), out = (uint32_t)tinylstm_outputs(state);
    const uint32_t begin = bare_timer();
    for (uint32_t done = 0; done < calls; done += at_once, x += in * at_once, y += out * at_once) {
        tinylstm_run(model, state, x, y, at_once);
    }
    return bare_timer() - begin;
}

/* Fills the unused stack with the pattern; gives where it began. Its own locals live in registers and in the 64 bytes left out. */
static __attribute__((noinline, noclone)) uint8_t *paint(void) {
    uint8_t *const here = (uint8_t *)__builtin_frame_address(0);
    for (volatile uint8_t *p = (volatile uint8_t *)stack_bottom; p < here - 64; p++) {
        *p = PATTERN;
    }
    return here;
}

static uint32_t run(const uint32_t *job, int32_t results) {
    const uint32_t model_bytes = job[0], calls = job[1], at_once = job[2], input_bytes = job[3];
    const uint8_t *model = (const uint8_t *)(job + 4);
    const int8_t *input = (const int8_t *)(job + 4 + (model_bytes + 3) / 4);
    uint8_t *const bytes = (uint8_t *)memory, *const state = bytes + REDZONE;
    uint32_t result[7] = {0};
    for (uint32_t i = 0; i < MEMORY; i++) {
        bytes[i] = PATTERN;
    }
    const int32_t size = tinylstm_size(model, model_bytes);
    result[0] = (uint32_t)size;
    if (size < 0 || size > MEMORY - 2 * REDZONE) {
        result[1] = (uint32_t)(size < 0 ? size : TINYLSTM_MEMORY);
    } else {
        result[1] = (uint32_t)tinylstm_load(model, model_bytes, state, (uint32_t)size);
    }
    if (!result[1]) {
        result[2] = (uint32_t)tinylstm_outputs(state);
        result[6] = result[2] * calls;
        if (result[6] > OUTPUT || calls * (uint32_t)tinylstm_inputs(state) != input_bytes) {
            return 0;
        }
        uint8_t *const here = paint();
        result[3] = counted_calls(model, state, input, (int8_t *)output, calls, at_once);
        const volatile uint8_t *lowest = (const volatile uint8_t *)stack_bottom;
        while (lowest < here && *lowest == PATTERN) {
            lowest++;
        }
        result[4] = (uint32_t)(here - lowest);
        for (uint32_t i = 0; i < MEMORY; i++) {
            result[5] += bytes[i] != PATTERN && (i < REDZONE || i >= REDZONE + (uint32_t)size);
        }
    }
    const uint32_t padded = (result[6] + 3) / 4 * 4;
    return !transfer(WRITE, results, result, sizeof result) && !transfer(WRITE, results, output, padded);
}

int main(void) {
    const int32_t from = file("jobs", READ_BINARY), to = file("results", WRITE_BINARY);
    if (from < 0 || to < 0) {
        return 1;
    }
    const uint32_t *const end = jobs + (JOBS - transfer(READ, from, jobs, JOBS)) / 4;
    bare_timer_start();
    const uint32_t head[3] = {bare_instructions_per_tick, counted_loop(1000), counted_loop(101000)};
    if (transfer(WRITE, to, head, sizeof head)) {
        return 1;
    }
    for (const uint32_t *job = jobs; job < end; job += 4 + (job[0] + 3) / 4 + (job[3] + 3) / 4) {
        if (!run(job, to)) {
            return 1;
        }
    }
    const uint32_t block[1] = {(uint32_t)to};
    return bare_host(CLOSE, block) != 0;
}
