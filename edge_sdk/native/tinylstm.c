/* TinyLSTM: see tinylstm.h for the door and docs/ for the arithmetic. Read from top to bottom:
 *
 *   1. reading the file: a flatbuffer in place, every access checked
 *   2. fixed-point arithmetic of TensorFlow Lite Micro (TFLM)
 *   3. the prepared model: what lies in the caller's memory
 *   4. preparing: each operator's checks and constants, in the order of zenmoon_edge.core, so that both refuse alike
 *   5. running
 *
 * Sources: schema.fbs of TensorFlow Lite (version 3); its int8 quantisation specification; Jacob et al. 2018, "Quantization and
 * Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference". Right shifts of negative numbers are arithmetic,
 * and numbers wrap when converted to a narrower signed type, as on every compiler that this is built with.
 */
#include "tinylstm.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define MOST_TENSORS 256
#define MOST_OPERATORS 64
#define MOST_AXES 4        /* of one tensor */
#define MOST_VALUES 65535u
#define MOST_CLASSES 256   /* of one softmax: more would not fit its sum */

enum { /* BuiltinOperator */
    DEQUANTIZE = 6,
    FULLY_CONNECTED = 9,
    LOGISTIC = 14,
    RESHAPE = 22,
    SOFTMAX = 25,
    TANH = 28,
    LSTM = 44, /* UNIDIRECTIONAL_SEQUENCE_LSTM */
    STRIDED_SLICE = 45,
    QUANTIZE = 114
};

/* Small where it is called often, fast where it runs often. */
#if defined(__GNUC__) && defined(__OPTIMIZE_SIZE__)
#define NOT_INLINE __attribute__((noinline))
#else
#define NOT_INLINE
#endif
#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE inline
#endif

#if defined(__ARM_ARCH_6M__) /* no multiplication of 32 bits to 64 */
#define SHORT_MULTIPLICATION
#endif

/* Keeps a compiler from making a call of memcpy or memset out of a loop: there is no C library. */
#if defined(__GNUC__)
#define KEEP_LOOP __asm__ volatile("")
#else
#define KEEP_LOOP
#endif

#if defined(__OPTIMIZE_SIZE__) && !defined(__clang__)
#pragma GCC push_options /* what GCC itself takes for small code is not the smallest here */
#pragma GCC optimize("no-move-loop-invariants", "no-thread-jumps", "no-caller-saves", "no-tree-ch", "no-ipa-cp", "no-schedule-insns2", "no-shrink-wrap")
#endif

/* ---------------------------------------------------------------------------------------------- 1. Reading the file */

enum { FLOAT32 = 0, INT32 = 2, INT16 = 7, INT8 = 9 }; /* TensorType */

/* A table and a vector are known by their absolute positions; 0 is an absent one. The first refusal stays: from then on every
 * read gives 0, so that nothing needs to ask after each of them. */
typedef struct {
    const uint8_t *bytes;
    uint32_t size;
    int32_t refused;
    uint32_t codes, buffers, tensors, operators, inputs, outputs; /* vectors of the graph */
    uint32_t tensor_count, operator_count, output_count;
} File;

typedef struct {
    uint32_t rank, length[MOST_AXES]; /* lengths beyond the rank are 0 */
    uint32_t size;                    /* values, by its shape */
    uint32_t scales, scale_count;
    uint32_t data, bytes; /* position of constant data */
    int32_t type, zero;   /* NO_ZERO: none, or one beyond int8 */
} Tensor;

#define NO_ZERO 128

static NOT_INLINE void refuse(File *file, int32_t reason) { /* as a positive number: a smaller instruction */
    if (!file->refused) file->refused = -reason;
}

static INLINE void require(File *file, int holds, int32_t reason) {
    if (!holds) refuse(file, -reason);
}

static uint32_t sum(uint32_t a, uint32_t b) { /* of positions: stays beyond every file instead of wrapping */
    return a + b < a ? 0xFFFFFFFFu : a + b;
}

static int within(File *file, uint32_t position, uint32_t count, int width_bits) {
    require(file, position <= file->size && count <= (file->size - position) >> width_bits, TINYLSTM_TRUNCATED);
    return !file->refused;
}

static uint32_t read(File *file, uint32_t position, int bytes) { /* little-endian, at any address */
    uint32_t value = 0;
    if (within(file, position, (uint32_t)bytes, 0))
        while (bytes--) value = value << 8 | file->bytes[position + (uint32_t)bytes];
    return value;
}

static uint32_t word(File *file, uint32_t position) {
    return read(file, position, 4);
}

static uint32_t follow(File *file, uint32_t position) { /* an offset, relative to where it stands */
    return sum(position, word(file, position));
}

static uint32_t table_at(File *file, uint32_t position) {
    uint32_t fields = position - word(file, position); /* signed: below 0 it wraps to beyond the file */
    uint32_t bytes = read(file, fields, 2);
    within(file, fields, bytes < 4 ? 4 : bytes & ~1u, 0);
    return position;
}

static uint32_t field(File *file, uint32_t table, uint32_t number) { /* its position; 0: not set, has its default */
    uint32_t fields = table - word(file, table), offset = 0;
    if (!table) return 0; /* a root table at 0 has its own 0 for a list of fields: none */
    if (6 + 2 * number <= read(file, fields, 2)) offset = read(file, fields + 4 + 2 * number, 2);
    return offset ? sum(table, offset) : 0;
}

static uint32_t word_field(File *file, uint32_t table, uint32_t number) {
    uint32_t at = field(file, table, number);
    return at ? word(file, at) : 0;
}

static int32_t byte_field(File *file, uint32_t table, uint32_t number) {
    uint32_t at = field(file, table, number);
    return at ? (int8_t)read(file, at, 1) : 0;
}

static uint32_t vector_field(File *file, uint32_t table, uint32_t number, int width_bits) {
    uint32_t at = field(file, table, number);
    if (!at) return 0;
    at = follow(file, at);
    return within(file, sum(at, 4), word(file, at), width_bits) ? at : 0;
}

static uint32_t count(File *file, uint32_t vector) {
    return vector ? word(file, vector) : 0;
}

static uint32_t item(File *file, uint32_t vector, uint32_t i) {
    return word(file, vector + 4 + 4 * i);
}

static uint32_t table_item(File *file, uint32_t tables, uint32_t i) {
    return table_at(file, follow(file, tables + 4 + 4 * i));
}

static uint32_t tables_field(File *file, uint32_t table, uint32_t number) { /* a vector of tables, all of them looked at */
    uint32_t tables = vector_field(file, table, number, 2), i;
    for (i = 0; i < count(file, tables); i++) table_item(file, tables, i);
    return tables;
}

static void read_tensor(File *file, uint32_t index, Tensor *tensor) {
    uint32_t table = table_item(file, file->tensors, index), data = word_field(file, table, 2), shape, zeros = 0, i, at;
    require(file, data < count(file, file->buffers), TINYLSTM_TRUNCATED);
    data = file->refused ? 0 : vector_field(file, table_item(file, file->buffers, data), 0, 0);
    tensor->bytes = count(file, data);
    tensor->data = data + 4;
    shape = vector_field(file, table, 0, 2);
    tensor->rank = count(file, shape);
    tensor->type = byte_field(file, table, 1);
    tensor->scales = 0;
    at = field(file, table, 4);
    if (at) {
        at = table_at(file, follow(file, at));
        tensor->scales = vector_field(file, at, 2, 2);
        zeros = vector_field(file, at, 3, 3);
    }
    tensor->scale_count = count(file, tensor->scales);
    tensor->zero = NO_ZERO;
    if (count(file, zeros)) { /* the first, as in TFLM; 64 bits */
        uint32_t low = item(file, zeros, 0), high = item(file, zeros, 1);
        if (low + 128 < 256 && high + (low >> 31) == 0) tensor->zero = (int32_t)low;
    }
    require(file, tensor->rank <= MOST_AXES, TINYLSTM_SHAPE);
    tensor->size = 1;
    for (i = 0; i < MOST_AXES; i++) {
        tensor->length[i] = i < tensor->rank ? item(file, shape, i) : 0;
        if (i >= tensor->rank) continue;
        require(file, tensor->length[i] <= MOST_VALUES, TINYLSTM_SHAPE);
        tensor->size *= tensor->length[i];
        require(file, tensor->size <= MOST_VALUES, TINYLSTM_SHAPE);
        if (file->refused) return;
    }
}

static void require_constant(File *file, const Tensor *tensor, int type, int width_bits) {
    require(file, tensor->type == type, TINYLSTM_TYPE);
    require(file, tensor->bytes == tensor->size << width_bits, TINYLSTM_SHAPE);
}

static int32_t code_at(File *file, uint32_t i) { /* BuiltinOperator: a byte in old files, a word in new ones */
    uint32_t code = table_item(file, file->codes, i);
    int32_t old = byte_field(file, code, 0), new = (int32_t)word_field(file, code, 3);
    return old > new ? old : new;
}

static int32_t operator_code(File *file, uint32_t operator) {
    uint32_t index = word_field(file, operator, 0);
    return index < count(file, file->codes) ? code_at(file, index) : -1;
}

enum { INPUTS = 1, OUTPUTS = 2 }; /* an operator's fields */

/* The tensor with the int8 values of a border of the graph: itself, or, where it is float32, the one on the other side of the
 * first operator with this code that has it on the near side. */
static uint32_t int8_border(File *file, uint32_t tensor, int32_t code, uint32_t near, uint32_t far) {
    uint32_t i;
    if (byte_field(file, table_item(file, file->tensors, tensor), 1) != FLOAT32) return tensor;
    for (i = 0; i < file->operator_count; i++) {
        uint32_t operator = table_item(file, file->operators, i), here, there;
        if (operator_code(file, operator) != code) continue;
        here = vector_field(file, operator, near, 2);
        if (count(file, here) != 1 || item(file, here, 0) != tensor) continue;
        there = vector_field(file, operator, far, 2);
        require(file, count(file, there) == 1 && item(file, there, 0) < file->tensor_count, TINYLSTM_SCHEMA);
        return item(file, there, 0);
    }
    refuse(file, -TINYLSTM_TYPE);
    return 0;
}

static uint32_t int8_input(File *file, uint32_t tensor) {
    return int8_border(file, tensor, QUANTIZE, INPUTS, OUTPUTS);
}

static NOT_INLINE uint32_t int8_output(File *file, uint32_t tensor) {
    return int8_border(file, tensor, DEQUANTIZE, OUTPUTS, INPUTS);
}

/* --------------------------------------------------------------------------------------- 2. Fixed-point arithmetic */

/* A multiplier fixed * 2^(shift - 31) with fixed in [2^30, 2^31), or 0. What is kept is `twice` = 2 fixed - 2^32: then
 * value * fixed / 2^31 is value + value * twice / 2^32, the high word of a product. */
typedef struct {
    int32_t twice, shift;
} Scaling;

/* A scale stays what it is in the file, the 32 bits of a float; so it is exact. */
#define POWER_OF_TWO(exponent) ((uint32_t)(127 + (exponent)) << 23)

static NOT_INLINE uint32_t scale_at(File *file, uint32_t scales, uint32_t i) { /* positive, from 2^-60 to below 2^60 */
    uint32_t bits = item(file, scales, i);
    require(file, bits >= POWER_OF_TWO(-60) && bits < POWER_OF_TWO(60), TINYLSTM_SCALE);
    return bits;
}

static uint32_t only_scale(File *file, const Tensor *tensor) {
    require(file, tensor->scale_count == 1, TINYLSTM_SCALE);
    return scale_at(file, tensor->scales, 0);
}

static uint32_t mantissa(uint32_t scale) {
    return (scale & 0x7FFFFF) | 0x800000;
}

/* a * b / divisor as TFLM computes it: the product of two floats is exact in a double (53 bits), the quotient rounded to one,
 * and that to 31 bits. Long division by shifts: no target needs a division for it. */
static Scaling multiplier(uint32_t a, uint32_t b, uint32_t divisor) {
    Scaling result;
    uint64_t dividend = 0, quotient = 0;
    uint32_t remainder = 0, factor = mantissa(b);
    int32_t exponent = (int32_t)(a >> 23) + (int32_t)(b >> 23) - (int32_t)(divisor >> 23), bits;
    for (bits = 0; bits < 24; bits++) {
        dividend += dividend;
        if (factor >> 23 & 1) dividend += mantissa(a);
        factor <<= 1;
    }
    while (!(dividend >> 63)) {
        dividend += dividend;
        exponent--;
    }
    for (bits = 0; !(quotient >> 53); bits++) {
        remainder += remainder + (uint32_t)(dividend >> 63);
        dividend += dividend;
        quotient += quotient;
        if (remainder >= mantissa(divisor)) {
            remainder -= mantissa(divisor);
            quotient++;
        }
    }
    if (quotient & 1 && (quotient & 2 || remainder || dividend)) quotient++;
    quotient = ((quotient >> 1) + (1 << 21)) >> 22;
    result.twice = (int32_t)((uint32_t)quotient << 1);
    result.shift = exponent - bits - 32;
    if (quotient >> 31) {
        result.twice = -0x7FFFFFFF - 1;
        result.shift++;
    }
    if (result.shift < -32) result.shift = -32; /* gives 0 for every value */
    return result;
}

static Scaling scaling(File *file, uint32_t a, uint32_t b, uint32_t divisor) {
    Scaling result = multiplier(a, b, divisor);
    require(file, result.shift <= 30, TINYLSTM_SCALE);
    return result;
}

/* a * b / 2^31, half up. Processors without a long multiplication get it from four short ones. */
static INLINE int32_t times(int32_t a, int32_t b) {
#ifdef SHORT_MULTIPLICATION
    uint32_t a_low = (uint32_t)a & 0xFFFF, b_low = (uint32_t)b & 0xFFFF, low = a_low * b_low, sum_low;
    int32_t a_high = a >> 16, b_high = b >> 16, first, second, high;
    first = a_high * (int32_t)b_low + (int32_t)(low >> 16);
    second = b_high * (int32_t)a_low + (first & 0xFFFF);
    high = a_high * b_high + (first >> 16) + (second >> 16);
    low = (uint32_t)second << 16 | (low & 0xFFFF);
    sum_low = low + 0x40000000u;
    high += sum_low < low;
    return (int32_t)((uint32_t)high << 1 | sum_low >> 31);
#else
    return (int32_t)(((int64_t)a * b + 0x40000000) >> 31);
#endif
}

static NOT_INLINE int32_t product(int32_t a, int32_t b) { /* the same where size counts more than speed */
    return times(a, b);
}

/* value / 2^bits, half away from zero; value is not the lowest int32. */
static INLINE int32_t fast_rounded_shift(int32_t value, int32_t bits_less_one) {
    return (((value + (value >> 31)) >> bits_less_one) + 1) >> 1;
}

static NOT_INLINE int32_t rounded_shift(int32_t value, int32_t bits) { /* by at least one */
    return fast_rounded_shift(value, bits - 1);
}

/* value * fixed * 2^(shift - 31), rounded twice; a left shift wraps, as in TFLM. */
static INLINE int32_t fast_scaled(int32_t value, const Scaling *by) {
    int32_t shift = by->shift;
    if (shift >= 0) value = (int32_t)((uint32_t)value << shift);
#ifdef SHORT_MULTIPLICATION
    value = times(value, (int32_t)((uint32_t)by->twice >> 1));
#else
    int64_t product = (int64_t)value * by->twice;
    value = (int32_t)((uint32_t)value + (uint32_t)(product >> 32) + ((uint32_t)product >> 31));
#endif
    return shift < 0 ? fast_rounded_shift(value, ~shift) : value; /* ~shift is -shift - 1 */
}

static NOT_INLINE int32_t scaled(int32_t value, const Scaling *by) {
    return fast_scaled(value, by);
}

static INLINE int32_t clamped(int32_t value, int32_t lowest, int32_t highest) {
    return value < lowest ? lowest : value > highest ? highest : value;
}

static INLINE int32_t int16(int32_t value) {
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
    __asm__("ssat %0, #16, %0" : "+r"(value));
    return value;
#else
    return clamped(value, -32768, 32767);
#endif
}

static INLINE int8_t int8(int32_t value) {
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
    __asm__("ssat %0, #8, %0" : "+r"(value));
    return (int8_t)value;
#else
    return (int8_t)clamped(value, -128, 127);
#endif
}

static INLINE int32_t wrapping_sum(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* sigmoid(i / 24) in 1/65536, with TFLM's own roundings. */
static const uint16_t sigmoid_table[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688,
    43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409,
    51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110,
    61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186,
    63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900,
    64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208,
    65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449,
    65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491,
    65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530,
    65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
};

/* Logistic of x/12288 as an int16 in 1/32768. */
static NOT_INLINE int32_t sigmoid16(int32_t x) {
    uint32_t size = (uint32_t)(x < 0 ? -x : x), i = size >> 9, result = 0x7FFF << 10;
    if (i < 255) {
        uint32_t below = sigmoid_table[i];
        result = (below << 9) + (size & 0x1FF) * (sigmoid_table[i + 1] - below);
    }
    return (int32_t)((x >= 0 ? result + 512 : (1 << 25) - result + 511) >> 10);
}

/* Hyperbolic tangent of x/12288 as an int16 in 1/32768. */
static NOT_INLINE int32_t tanh16(int32_t x) {
    uint32_t size = (uint32_t)(x < 0 ? -x : x), i = size >> 8;
    int32_t result = 0xFFFF << 8;
    if (i < 255) {
        uint32_t below = sigmoid_table[i];
        result = (int32_t)((below << 8) + (size & 0xFF) * (sigmoid_table[i + 1] - below));
    }
    result -= 1 << 23;
    return (x >= 0 ? result + 128 : 127 - result) >> 8;
}

/* exp(value) for value <= 0 with `integer_bits` integer bits; the result has none. */
static int32_t exp_of_negative(int32_t value, int32_t integer_bits) {
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242}; /* exp(-2^(i-2)) */
    int32_t fraction = 31 - integer_bits, quarter = 1 << (fraction - 2), reduced, x, x2, x3, series, result, i;
    uint32_t remainder;
    if (!value) return 0x7FFFFFFF;
    reduced = (value & (quarter - 1)) - quarter;
    remainder = (uint32_t)reduced - (uint32_t)value;
    x = (int32_t)((uint32_t)reduced << integer_bits) + (1 << 28); /* Taylor series about -1/8 */
    x2 = product(x, x);
    x3 = product(x2, x);
    series = rounded_shift(product(x2, x2), 2) + x3;
    series = rounded_shift(product(series, 715827883) + x2, 1);
    result = 1895147668 + product(1895147668, x + series); /* exp(-1/8) */
    for (i = 0; i < 7 && i - 2 < integer_bits; i++)
        if (remainder >> (fraction + i - 2) & 1) result = product(result, factors[i]);
    return result;
}

static int32_t saturated_shift(int32_t value, int32_t bits) {
    int32_t most = 0x7FFFFFFF >> bits;
    return value > most ? 0x7FFFFFFF : value < -most - 1 ? -0x7FFFFFFF - 1 : (int32_t)((uint32_t)value << bits);
}

/* 2 / (1 + x) for x in [0, 1] with two integer bits: three Newton-Raphson steps from 48/17 - 32/17 d. */
static int32_t newton(int32_t x) {
    int32_t half = (int32_t)(((uint32_t)x + 0x80000000u) >> 1);
    int32_t guess = 1515870810 + product(half, -1010580540), i;
    for (i = 0; i < 3; i++)
        guess = wrapping_sum(guess, saturated_shift(product(guess, (1 << 29) - product(half, guess)), 2));
    return guess;
}

static int32_t one_over_one_plus(int32_t x) {
    return saturated_shift(newton(x), 1);
}

/* ------------------------------------------------------------------------------------------- 3. The prepared model */

#define LOADED 0x4D4C5430u   /* a mark, so that memory that was never filled is not run */
#define IN_INPUT 0x80000000u /* a place in the caller's input instead of in memory */

/* Places are offsets into memory. */
typedef struct {
    uint32_t mark, inputs, outputs;
    uint32_t operators, operator_count;
    uint32_t results, result_count; /* of type Result: what a call hands back */
} Header;

typedef struct {
    uint32_t place, size;
} Result;

/* What every prepared operator starts with. `next`: where the one after it lies; source, target: places of `count` int8 values. */
typedef struct {
    uint32_t next, source, target, count;
    uint16_t code, tensor; /* RESHAPE: nothing to do, the values lie there already; the index of the tensor that it makes */
} Operator;

typedef struct {
    Operator head;
    uint32_t weights, biases, scalings; /* in the file; int32 a row; one Scaling, or one a row */
    uint32_t rows, columns, scaling_step;
    int32_t zero, lowest;
} FullyConnected;

typedef struct {
    Operator head;
    uint32_t steps, features, units;
    uint32_t weights[8]; /* in the file: the input's four gates (input, forget, cell, output), then the hidden state's */
    Scaling scalings[8], emit;
    uint32_t biases; /* int32: eight a unit, as the weights */
    uint32_t cell;   /* int16 a unit: state */
    uint32_t hidden; /* int8 a unit: the hidden state before the first step; `target`, the outputs of all steps, follows it */
    int32_t zero, lowest, highest, update_shift, tanh_shift; /* lowest, highest: of the cell, an int16 or what it is clipped to */
} Lstm;

typedef struct {
    Operator head;
    uint32_t rank, length[MOST_AXES], from[MOST_AXES], to[MOST_AXES], by[MOST_AXES];
} Slice;

typedef struct {
    Operator head;
    Scaling scaling;
    int32_t zero;
    int32_t bound;            /* an activation's radius; a softmax's lowest difference; a requantisation's new zero point */
    uint32_t columns, scratch; /* of a softmax; int32 a column */
} Pointwise;

#define NONE 0xFFFFFFFFu

static void copy(int8_t *to, const int8_t *from, uint32_t count) {
    while (count--) {
        *to++ = *from++;
        KEEP_LOOP;
    }
}

/* The index of each value that a slice takes, the last axis running fastest; copies the values if it is given any. Whether they
 * lie side by side, from `first` on. */
static int walk(const Slice *slice, const int8_t *x, int8_t *y, uint32_t *first, uint32_t *total) {
    uint32_t at[MOST_AXES], i, index, number = 0;
    int adjacent = 1, empty = 0;
    for (i = 0; i < slice->rank; i++) {
        at[i] = slice->from[i];
        if (at[i] >= slice->to[i]) empty = 1;
        KEEP_LOOP;
    }
    while (!empty && i != NONE) {
        for (index = i = 0; i < slice->rank; i++) index = index * slice->length[i] + at[i];
        if (!number) *first = index;
        adjacent &= index == *first + number;
        if (y) y[number] = x[index];
        number++;
        for (i = slice->rank; i--;) { /* i passes 0: all axes are through */
            at[i] += slice->by[i];
            if (at[i] < slice->to[i]) break;
            at[i] = slice->from[i];
        }
    }
    *total = number;
    return adjacent;
}

/* ---------------------------------------------------------------------------------------------------- 4. Preparing */

/* Without `memory` it only checks and counts, and writes on paper. */
typedef struct {
    File file;
    uint8_t *memory;
    uint32_t used, first;       /* bytes of memory; place of the first operator */
    uint32_t input, int8_input; /* tensors: the graph's input, and the one with its int8 values */
    uint32_t inputs, options;   /* of the operator at work: its vector, its table or 0 */
    uint32_t source, target;    /* its tensors */
    Tensor x, output;
    union {
        Operator operator;
        FullyConnected fully_connected;
        Lstm lstm;
        Slice slice;
        Pointwise pointwise;
    } paper;
    int32_t number;
} Plan;

static uint32_t place(Plan *plan, uint32_t bytes) {
    uint32_t at = plan->used;
    plan->used += (bytes + 3) & ~3u;
    return at;
}

static int32_t *numbers(Plan *plan, uint32_t at) { /* an array in memory; on paper all of it is one number */
    return plan->memory ? (int32_t *)(plan->memory + at) : &plan->number;
}

static uint32_t place_of(const Plan *plan, uint32_t tensor) { /* of a tensor that is known to be computed */
    uint32_t at = plan->first;
    if (tensor == plan->input || tensor == plan->int8_input) return IN_INPUT;
    while (plan->memory && at < plan->used) {
        const Operator *operator = (const Operator *)(plan->memory + at);
        if (operator->tensor == tensor) return operator->target;
        at = operator->next;
    }
    return 0;
}

/* The record of the operator at work. Its result gets a place of its own unless `target` says where it is. */
static void *record(Plan *plan, uint32_t code, uint32_t bytes, uint32_t target) {
    uint32_t source = place_of(plan, plan->source), at = place(plan, bytes);
    Operator *operator = plan->memory ? (Operator *)(plan->memory + at) : &plan->paper.operator;
    operator->source = source;
    operator->target = target == NONE ? place(plan, plan->output.size) : target;
    operator->count = plan->output.size;
    operator->code = (uint16_t)code;
    operator->tensor = (uint16_t)plan->target;
    return operator;
}

static void same_place(Plan *plan, uint32_t values) {
    record(plan, RESHAPE, sizeof(Operator), values);
}

static uint32_t operand_index(Plan *plan, uint32_t i) { /* NONE where the operator does not have it */
    return i < count(&plan->file, plan->inputs) ? item(&plan->file, plan->inputs, i) : NONE;
}

static void read_operand(Plan *plan, uint32_t i, Tensor *tensor) { /* one that the operator cannot do without */
    uint32_t index = operand_index(plan, i);
    require(&plan->file, index != NONE, TINYLSTM_SCHEMA);
    read_tensor(&plan->file, plan->file.refused ? 0 : index, tensor);
}

static NOT_INLINE void read_constant(Plan *plan, uint32_t i, Tensor *tensor) { /* of int32 */
    read_operand(plan, i, tensor);
    require_constant(&plan->file, tensor, INT32, 2);
}

static void require_int8(File *file, const Tensor *tensor) {
    require(file, tensor->type == INT8, TINYLSTM_TYPE);
    require(file, tensor->zero != NO_ZERO, TINYLSTM_SCALE);
    only_scale(file, tensor);
}

static INLINE void require_shape(File *file, const Tensor *tensor, uint32_t rank, uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t *length = tensor->length;
    require(file, tensor->rank == rank && length[0] == a && length[1] == b && length[2] == c, TINYLSTM_SHAPE);
}

/* An int8 weight matrix [outputs, inputs]. */
static void require_matrix(File *file, const Tensor *tensor, uint32_t rows, uint32_t columns) {
    require_shape(file, tensor, 2, rows, columns, 0);
    require(file, tensor->size, TINYLSTM_SHAPE);
    require(file, !tensor->zero, TINYLSTM_SCALE);
    require_constant(file, tensor, INT8, 0);
}

/* The bias of a row with the input's zero point folded in. Refused where their sum could leave 32 bits for any input. */
static int32_t folded(File *file, const Tensor *weights, uint32_t row, int32_t bias, int32_t zero) {
    uint32_t columns = weights->length[1];
    const uint8_t *weight = file->bytes + weights->data + row * columns;
    int32_t total = 0, lowest = 0, highest = 0;
    int64_t result;
    while (columns--) {
        int32_t value = (int8_t)*weight++;
        total += value;
        lowest += value > 0 ? value * -128 : value * 127;
        highest += value > 0 ? value * 127 : value * -128;
    }
    result = (int64_t)bias - zero * total;
    require(file, result + lowest >= -0x7FFFFFFF - 1 && result + highest <= 0x7FFFFFFF, TINYLSTM_RANGE);
    return (int32_t)result;
}

static void plan_fully_connected(Plan *plan) {
    File *file = &plan->file;
    Tensor weights, bias;
    uint32_t rows, columns, vectors = 0, covered = 0, scales, i;
    int biased = operand_index(plan, 2) != NONE;
    int32_t activation;
    FullyConnected *made;
    read_operand(plan, 1, &weights);
    rows = weights.length[0];
    columns = weights.length[1];
    require_matrix(file, &weights, rows, columns);
    for (; columns && covered < plan->x.size; covered += columns) vectors++;
    require(file, covered == plan->x.size && plan->output.size == vectors * rows, TINYLSTM_SHAPE);
    /* TFLM takes the rows from the output's last axis, whatever the weights say. A rank of 0 looks at an axis of length 0. */
    require(file, plan->output.length[(plan->output.rank - 1) % MOST_AXES] == rows, TINYLSTM_SHAPE);
    if (biased) {
        read_constant(plan, 2, &bias);
        require(file, bias.size == rows, TINYLSTM_SHAPE);
    }
    activation = byte_field(file, plan->options, 0);
    require(file, activation == 0 || activation == 1, TINYLSTM_OPERATOR); /* none, RELU */
    scales = weights.scale_count;
    require(file, scales == 1 || scales == rows, TINYLSTM_SCALE);
    if (file->refused) return;

    made = record(plan, FULLY_CONNECTED, sizeof(FullyConnected), NONE);
    made->weights = weights.data;
    made->rows = rows;
    made->columns = columns;
    made->zero = plan->output.zero;
    made->lowest = activation ? made->zero : -128;
    made->scaling_step = scales > 1;
    made->scalings = place(plan, scales * sizeof(Scaling));
    for (i = 0; i < scales; i++) {
        Scaling by = scaling(file, only_scale(file, &plan->x), scale_at(file, weights.scales, i), only_scale(file, &plan->output));
        *numbers(plan, made->scalings + 8 * i) = by.twice;
        *numbers(plan, made->scalings + 8 * i + 4) = by.shift;
    }
    made->biases = place(plan, (rows + 3) * 4); /* rows run four at a time */
    for (i = 0; i < rows + 3 && !file->refused; i++)
        *numbers(plan, made->biases + 4 * i) =
            i < rows ? folded(file, &weights, i, biased ? (int32_t)word(file, bias.data + 4 * i) : 0, plan->x.zero) : 0;
}

#define OPTIONAL 0x30E00u /* operands of an LSTM that a plain one lacks: peepholes 9-11, projection 16 and 17 */

static void plan_lstm(Plan *plan) {
    File *file = &plan->file;
    Tensor hidden, cell, weights, bias;
    const Tensor *from = &plan->x;
    uint32_t units, features, steps, i, unit, scale, clip;
    int32_t exponent;
    Lstm *made;
    for (i = 0; i < count(file, plan->inputs); i++) /* no peepholes, projection or layer normalisation */
        require(file, operand_index(plan, i) == NONE || (i < 20 && !(OPTIONAL >> i & 1)), TINYLSTM_OPERATOR);
    read_operand(plan, 18, &hidden);
    read_operand(plan, 19, &cell);
    require_int8(file, &hidden);
    units = hidden.size;
    scale = only_scale(file, &cell);
    exponent = (int32_t)(scale >> 23) - 127;
    require(file, scale << 9 == 0 && exponent >= -15 && exponent <= 0, TINYLSTM_SCALE);
    require(file, cell.type == INT16 && cell.size == units && !cell.zero, TINYLSTM_TYPE);
    steps = plan->x.length[1];
    features = plan->x.length[2];
    require_shape(file, &plan->x, 3, 1, steps, features);
    require_shape(file, &plan->output, 3, 1, steps, units);
    require(file, plan->x.size && units, TINYLSTM_SHAPE);
    require(file, byte_field(file, plan->options, 0) == 4 && !word_field(file, plan->options, 2) &&
            !byte_field(file, plan->options, 3), TINYLSTM_OPERATOR); /* tanh, no projection clip, batch first */
    if (file->refused) return;

    made = record(plan, LSTM, sizeof(Lstm), 0);
    made->steps = steps;
    made->features = features;
    made->units = units;
    made->zero = hidden.zero;
    made->update_shift = 28 + exponent;
    made->tanh_shift = 12 + exponent;
    made->hidden = place(plan, units + plan->output.size);
    made->head.target = made->hidden + units;
    made->cell = place(plan, units * 2);
    made->biases = place(plan, units * 32);
    for (i = 0; i < 8; i++) {
        read_operand(plan, 1 + i, &weights);
        require_matrix(file, &weights, units, i < 4 ? features : units);
        if (i < 4) {
            read_constant(plan, 12 + i, &bias);
            require(file, bias.size == units, TINYLSTM_SHAPE);
        } else {
            from = &hidden;
        }
        made->weights[i] = weights.data;
        made->scalings[i] = scaling(file, only_scale(file, from), only_scale(file, &weights), POWER_OF_TWO(-12));
        for (unit = 0; unit < units && !file->refused; unit++)
            *numbers(plan, made->biases + 32 * unit + 4 * i) =
                folded(file, &weights, unit, i < 4 ? (int32_t)word(file, bias.data + 4 * unit) : 0, from->zero);
    }
    made->emit = scaling(file, POWER_OF_TWO(-15), POWER_OF_TWO(-15), only_scale(file, &hidden));
    clip = word_field(file, plan->options, 1);
    made->lowest = -0x8000;
    made->highest = 0x7FFF;
    if (clip) {
        int32_t bits = (int32_t)(clip >> 23) - 127 - exponent; /* of the clip's whole part in the cell's integers, less one */
        require(file, clip >= POWER_OF_TWO(-60) && clip < POWER_OF_TWO(60), TINYLSTM_SCALE);
        if (bits < 15) made->highest = bits < 0 ? 0 : (int32_t)(mantissa(clip) >> (23 - bits));
        made->lowest = -made->highest;
    }
}

/* An operator from int8 to int8 of the same size. */
static void require_pointwise(Plan *plan) {
    require(&plan->file, plan->x.size == plan->output.size && plan->x.rank && plan->x.size, TINYLSTM_SHAPE);
}

static void plan_pointwise(Plan *plan, uint32_t code) {
    File *file = &plan->file;
    Pointwise *made;
    uint32_t scale, output_scale;
    int32_t shift;
    require_pointwise(plan);
    scale = only_scale(file, &plan->x);
    output_scale = only_scale(file, &plan->output);
    if (code != QUANTIZE)
        require(file, output_scale == (code == TANH ? POWER_OF_TWO(-7) : POWER_OF_TWO(-8)) &&
                plan->output.zero == (code == TANH ? 0 : -128), TINYLSTM_SCALE);
    if (file->refused) return;
    made = record(plan, code, sizeof(Pointwise), NONE);
    made->zero = plan->x.zero;
    if (code == QUANTIZE) {
        made->scaling = scaling(file, scale, POWER_OF_TWO(0), output_scale);
        made->bound = plan->output.zero;
        return;
    }
    if (code == SOFTMAX) {
        uint32_t beta = word_field(file, plan->options, 0);
        require(file, beta >= POWER_OF_TWO(-60) && beta < POWER_OF_TWO(60), TINYLSTM_SCALE);
        made->columns = plan->x.length[plan->x.rank - 1];
        require(file, made->columns <= MOST_CLASSES, TINYLSTM_SHAPE);
        made->scratch = place(plan, made->columns * 4);
        made->scaling = multiplier(beta, scale, POWER_OF_TWO(-26)); /* five integer bits */
    } else {
        made->scaling = multiplier(scale, POWER_OF_TWO(27), POWER_OF_TWO(0)); /* four integer bits */
    }
    shift = made->scaling.shift;
    require(file, shift >= 0, TINYLSTM_SCALE);
    if (shift > 31) made->scaling.shift = 31; /* the bound is 0 then: of a softmax only differences of 0 are scaled */
    made->bound = (uint32_t)shift > 30 ? 0 : code == SOFTMAX ? -((31 << 26) >> shift) : (15 << 27) >> shift;
}

static void plan_reshape(Plan *plan) {
    require_pointwise(plan);
    if (!plan->file.refused) same_place(plan, place_of(plan, plan->source));
}

static void plan_strided_slice(Plan *plan) {
    File *file = &plan->file;
    Tensor bound;
    Slice *slice = &plan->paper.slice, *made;
    uint32_t bounds[3], masks[5], i, first, total; /* begin, end, stride; begin, end, ellipsis, new axis, shrink */
    slice->rank = plan->x.rank;
    for (i = 0; i < 3; i++) {
        read_constant(plan, 1 + i, &bound);
        require(file, slice->rank && bound.size == slice->rank, TINYLSTM_SHAPE);
        bounds[i] = bound.data;
    }
    for (i = 0; i < 5; i++) masks[i] = word_field(file, plan->options, i);
    require(file, !masks[2] && !masks[3], TINYLSTM_OPERATOR);
    for (i = 0; i < slice->rank && !file->refused; i++) {
        int32_t size = (int32_t)plan->x.length[i], begin = (int32_t)word(file, bounds[0] + 4 * i);
        int32_t end = (int32_t)word(file, bounds[1] + 4 * i), stride = (int32_t)word(file, bounds[2] + 4 * i);
        require(file, stride > 0 && size, TINYLSTM_SHAPE);
        begin = masks[0] >> i & 1 ? 0 : begin < 0 ? begin + size : begin;
        if (begin < 0) begin = 0;
        require(file, begin < size, TINYLSTM_SHAPE); /* TFLM would read behind the axis where it shrinks */
        end = masks[1] >> i & 1 ? size : clamped(end < 0 ? end + size : end, 0, size);
        slice->length[i] = (uint32_t)size;
        slice->from[i] = (uint32_t)begin;
        slice->to[i] = masks[4] >> i & 1 ? (uint32_t)begin + 1 : (uint32_t)end;
        slice->by[i] = (uint32_t)stride;
    }
    if (file->refused) return;
    i = (uint32_t)walk(slice, 0, 0, &first, &total);
    require(file, total == plan->output.size, TINYLSTM_SHAPE);
    if (i) { /* values side by side stay where they are */
        same_place(plan, place_of(plan, plan->source) + first);
        return;
    }
    made = record(plan, STRIDED_SLICE, sizeof(Slice), NONE);
    copy((int8_t *)&made->rank, (const int8_t *)&slice->rank, sizeof(Slice) - sizeof(Operator));
}

/* A QUANTIZE of a float32 input, a DEQUANTIZE to a float32 output: nothing happens there, what runs is int8 from end to end. */
static INLINE void plan_border(Plan *plan, int is_input) {
    File *file = &plan->file;
    uint32_t inside = is_input ? plan->target : plan->source;
    const Tensor *integers = is_input ? &plan->output : &plan->x, *reals = is_input ? &plan->x : &plan->output;
    require_int8(file, integers);
    require(file, reals->type == FLOAT32, TINYLSTM_TYPE);
    require(file, reals->size == integers->size, TINYLSTM_SHAPE);
    require(file, !is_input || inside == plan->int8_input, TINYLSTM_SCHEMA);
    if (!file->refused) same_place(plan, place_of(plan, inside));
}

static int is_known(Plan *plan, uint32_t tensor, uint32_t operators) { /* computed by the first so many operators? */
    File *file = &plan->file;
    uint32_t i, known = tensor == plan->input;
    for (i = 0; i < operators; i++)
        known |= item(file, vector_field(file, table_item(file, file->operators, i), OUTPUTS, 2), 0) == tensor;
    return (int)known;
}

static NOT_INLINE void plan_operator(Plan *plan, uint32_t number) {
    static const uint8_t supported[] = {DEQUANTIZE, FULLY_CONNECTED, LOGISTIC,      RESHAPE, SOFTMAX,
                                        TANH,       LSTM,            STRIDED_SLICE, QUANTIZE};
    File *file = &plan->file;
    uint32_t operator = table_item(file, file->operators, number), outputs, i, index;
    int32_t code = operator_code(file, operator), is_supported = 0;
    for (i = 0; i < sizeof(supported); i++) is_supported |= code == supported[i];
    require(file, is_supported, TINYLSTM_OPERATOR);
    plan->inputs = vector_field(file, operator, INPUTS, 2);
    outputs = vector_field(file, operator, OUTPUTS, 2);
    require(file, count(file, outputs) == 1 && count(file, plan->inputs), TINYLSTM_SCHEMA);
    plan->source = operand_index(plan, 0);
    plan->target = item(file, outputs, 0);
    require(file, plan->target < file->tensor_count, TINYLSTM_SCHEMA);
    for (i = 0; i < count(file, plan->inputs); i++) {
        index = item(file, plan->inputs, i);
        require(file, index < file->tensor_count || index == NONE, TINYLSTM_SCHEMA);
    }
    if (file->refused) return;
    require(file, is_known(plan, plan->source, number) && !is_known(plan, plan->target, number), TINYLSTM_SCHEMA);
    if (file->refused) return;
    read_tensor(file, plan->source, &plan->x);
    read_tensor(file, plan->target, &plan->output);
    require(file, !plan->output.bytes, TINYLSTM_SCHEMA);
    if (code == DEQUANTIZE || (code == QUANTIZE && plan->x.type == FLOAT32)) {
        plan_border(plan, code == QUANTIZE);
        return;
    }
    plan->options = field(file, operator, 4);
    if (plan->options) plan->options = table_at(file, follow(file, plan->options));
    require_int8(file, &plan->x);
    require_int8(file, &plan->output);
    if (code == LSTM)
        plan_lstm(plan);
    else if (code == FULLY_CONNECTED)
        plan_fully_connected(plan);
    else if (code == STRIDED_SLICE)
        plan_strided_slice(plan);
    else if (code == RESHAPE)
        plan_reshape(plan);
    else
        plan_pointwise(plan, (uint32_t)code);
}

/* The graph's borders: one input [1, steps, features], at least one output, int8 or float32. */
static void plan_borders(Plan *plan) {
    File *file = &plan->file;
    uint32_t i;
    require(file, count(file, file->inputs) == 1 && file->output_count, TINYLSTM_SCHEMA);
    plan->input = item(file, file->inputs, 0);
    require(file, plan->input < file->tensor_count, TINYLSTM_SCHEMA);
    for (i = 0; i < file->output_count; i++)
        require(file, item(file, file->outputs, i) < file->tensor_count, TINYLSTM_SCHEMA);
    if (file->refused) return;
    plan->int8_input = int8_input(file, plan->input);
    for (i = 0; i < file->output_count; i++) int8_output(file, item(file, file->outputs, i));
    if (file->refused) return;
    read_tensor(file, plan->int8_input, &plan->x);
    require_int8(file, &plan->x);
    for (i = 0; i < file->output_count; i++) {
        read_tensor(file, int8_output(file, item(file, file->outputs, i)), &plan->output);
        require_int8(file, &plan->output);
    }
    read_tensor(file, plan->input, &plan->output);
    require(file, plan->output.rank == 3 && plan->output.length[0] == 1 && plan->output.size, TINYLSTM_SHAPE);
    require(file, plan->x.size == plan->output.size, TINYLSTM_SHAPE);
}

static void read_graph(File *file) {
    uint32_t top = table_at(file, word(file, 0)), graphs, graph, i;
    require(file, word_field(file, top, 0) == 3, TINYLSTM_SCHEMA); /* version */
    graphs = tables_field(file, top, 2);
    require(file, count(file, graphs) == 1, TINYLSTM_SCHEMA);
    graph = table_item(file, graphs, 0);
    file->buffers = tables_field(file, top, 4);
    tables_field(file, top, 6); /* metadata */
    file->tensors = tables_field(file, graph, 0);
    file->tensor_count = count(file, file->tensors);
    file->operators = tables_field(file, graph, 3);
    file->operator_count = count(file, file->operators);
    require(file, file->tensor_count <= MOST_TENSORS && file->operator_count <= MOST_OPERATORS, TINYLSTM_SCHEMA);
    file->codes = tables_field(file, top, 1);
    for (i = 0; i < count(file, file->codes); i++) code_at(file, i);
    file->inputs = vector_field(file, graph, 1, 2);
    file->outputs = vector_field(file, graph, 2, 2);
    file->output_count = count(file, file->outputs);
}

/* Checks the file and prepares it in `memory`, which is as large as it needs to be, or only counts what that is. */
static int32_t prepare(const uint8_t *model, uint32_t model_bytes, uint8_t *memory) {
    Plan plan;
    File *file = &plan.file;
    Tensor *tensor = &plan.output;
    Result *result;
    Header *header = (Header *)memory;
    uint32_t i, at, results, total = 0;
    if (model_bytes < 8 || model[4] != 'T' || model[5] != 'F' || model[6] != 'L' || model[7] != '3') return TINYLSTM_IDENTIFIER;
    if (model_bytes > 0x7FFFFFFF) return TINYLSTM_TRUNCATED;
    file->bytes = model;
    file->size = model_bytes;
    file->refused = 0;
    plan.memory = memory;
    plan.used = plan.first = sizeof(Header);
    read_graph(file);
    if (file->refused) return file->refused;
    for (i = 0; i < file->tensor_count; i++) read_tensor(file, i, tensor);
    if (!file->refused) plan_borders(&plan);
    for (i = 0; i < file->operator_count; i++) {
        at = plan.used;
        plan_operator(&plan, i);
        if (memory) ((Operator *)(memory + at))->next = plan.used;
    }
    for (i = 0; i < file->output_count; i++)
        require(file, is_known(&plan, item(file, file->outputs, i), file->operator_count), TINYLSTM_SCHEMA);
    if (file->refused) return file->refused;

    results = place(&plan, file->output_count * sizeof(Result));
    for (i = 0; memory && i < file->output_count; i++) {
        at = int8_output(file, item(file, file->outputs, i));
        read_tensor(file, at, tensor);
        result = (Result *)(memory + results) + i;
        result->place = place_of(&plan, at);
        result->size = tensor->size;
        total += tensor->size;
    }
    if (memory) {
        read_tensor(file, plan.input, tensor);
        header->mark = LOADED;
        header->inputs = tensor->size;
        header->outputs = total;
        header->operators = plan.first;
        header->operator_count = file->operator_count;
        header->results = results;
        header->result_count = file->output_count;
    }
    return (int32_t)plan.used;
}

int32_t tinylstm_size(const void *model, uint32_t model_bytes) {
    return prepare(model, model_bytes, 0);
}

int32_t tinylstm_load(const void *model, uint32_t model_bytes, void *memory, uint32_t memory_bytes) {
    int32_t size = tinylstm_size(model, model_bytes);
    if (size < 0) return size;
    if (!memory || ((uintptr_t)memory & 3) || memory_bytes < (uint32_t)size) return TINYLSTM_MEMORY;
    prepare(model, model_bytes, memory);
    tinylstm_reset(memory);
    return TINYLSTM_OK;
}

#if defined(__OPTIMIZE_SIZE__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/* ------------------------------------------------------------------------------------------------------ 5. Running */

#if defined(__ARM_FEATURE_DSP)
/* Four int8 as two pairs of int16 (1st and 3rd, 2nd and 4th), and two products added to a sum. */
static INLINE uint32_t four_values(const int8_t **at) {
    uint32_t values;
    __asm__ volatile("ldr %0, [%1], #4" : "=r"(values), "+r"(*at) : : "memory");
    return values;
}

static INLINE uint32_t even_pair(uint32_t values) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(values));
    return pair;
}

static INLINE uint32_t odd_pair(uint32_t values) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(values));
    return pair;
}

static INLINE int32_t two_products(uint32_t a, uint32_t b, int32_t total) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(total) : "r"(a), "r"(b));
    return total;
}
#endif

/* One column of four rows: a value, four products. Compilers would add increments of their own to Thumb's loads. */
#if defined(__thumb2__) && !defined(__ARM_FEATURE_DSP)
#define ROW(sum, row) "ldrsb %[weight], [%[" row "]], #1\n\tmla %[" sum "], %[weight], %[value], %[" sum "]\n\t"
#define ONE_COLUMN                                                                                                           \
    do {                                                                                                                     \
        int32_t weight;                                                                                                      \
        __asm__ volatile("ldrsb %[value], [%[x]], #1\n\t" ROW("s0", "a") ROW("s1", "b") ROW("s2", "c") ROW("s3", "d")         \
                         : [value] "=&r"(value), [weight] "=&r"(weight), [x] "+r"(x), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), \
                           [d] "+r"(d), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3)                           \
                         :                                                                                                   \
                         : "memory");                                                                                        \
    } while (0)
#else
#define ONE_COLUMN value = *x++, s0 += *a++ * value, s1 += *b++ * value, s2 += *c++ * value, s3 += *d++ * value
#endif

#if defined(__SSE2__)
static INLINE __m128i eight_values(const int8_t *at) { /* int8 as int16 */
    __m128i values = _mm_loadl_epi64((const __m128i *)at);
    return _mm_srai_epi16(_mm_unpacklo_epi8(values, values), 8);
}
#endif

/* sums = biases + four rows of weights times one vector: every value is loaded once for four products. */
static NOT_INLINE void four_rows(int32_t *sums, const int32_t *biases, const uint32_t *rows, const int8_t *matrix, const int8_t *x,
                                 uint32_t columns) {
    const int8_t *a = matrix + rows[0], *b = matrix + rows[1], *c = matrix + rows[2], *d = matrix + rows[3];
    int32_t s0 = biases[0], s1 = biases[1], s2 = biases[2], s3 = biases[3], value;
#if defined(__SSE2__)
    __m128i p0 = _mm_setzero_si128(), p1 = p0, p2 = p0, p3 = p0;
    for (; columns >= 8; columns -= 8, x += 8, a += 8, b += 8, c += 8, d += 8) {
        __m128i values = eight_values(x);
        p0 = _mm_add_epi32(p0, _mm_madd_epi16(eight_values(a), values));
        p1 = _mm_add_epi32(p1, _mm_madd_epi16(eight_values(b), values));
        p2 = _mm_add_epi32(p2, _mm_madd_epi16(eight_values(c), values));
        p3 = _mm_add_epi32(p3, _mm_madd_epi16(eight_values(d), values));
    }
    p0 = _mm_add_epi32(_mm_unpacklo_epi32(p0, p1), _mm_unpackhi_epi32(p0, p1)); /* sums of pairs: a b a b, c d c d */
    p2 = _mm_add_epi32(_mm_unpacklo_epi32(p2, p3), _mm_unpackhi_epi32(p2, p3));
    p0 = _mm_add_epi32(_mm_unpacklo_epi64(p0, p2), _mm_unpackhi_epi64(p0, p2));
    _mm_storeu_si128((__m128i *)sums, p0);
    s0 += sums[0], s1 += sums[1], s2 += sums[2], s3 += sums[3];
    for (; columns; columns--) ONE_COLUMN;
#elif defined(__wasm__) || defined(__ARM_NEON)
    for (; columns; columns--) ONE_COLUMN; /* the compiler makes vectors of it */
#else
    const int8_t *end = x + columns, *fours = x + (columns & ~3u);
#if defined(__ARM_FEATURE_DSP)
    while (x < fours) {
        uint32_t values = four_values(&x), even = even_pair(values), odd = odd_pair(values);
        values = four_values(&a), s0 = two_products(even_pair(values), even, two_products(odd_pair(values), odd, s0));
        values = four_values(&b), s1 = two_products(even_pair(values), even, two_products(odd_pair(values), odd, s1));
        values = four_values(&c), s2 = two_products(even_pair(values), even, two_products(odd_pair(values), odd, s2));
        values = four_values(&d), s3 = two_products(even_pair(values), even, two_products(odd_pair(values), odd, s3));
    }
#else
    if (x < fours) {
        do {
            ONE_COLUMN;
            ONE_COLUMN;
            ONE_COLUMN;
            ONE_COLUMN;
        } while (x < fours);
    }
#endif
    while (x < end) ONE_COLUMN;
#endif
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

static void run_fully_connected(const uint8_t *model, uint8_t *memory, const FullyConnected *layer, const int8_t *x, int8_t *y) {
    const int32_t *biases = (const int32_t *)(memory + layer->biases);
    const Scaling *scalings = (const Scaling *)(memory + layer->scalings);
    const int8_t *end = y + layer->head.count;
    uint32_t row, i, rows[4];
    int32_t sums[4];
    for (; y < end; x += layer->columns) {
        for (row = 0; row < layer->rows; row++) {
            if (!(row & 3)) { /* the next four; past the last row the last one again */
                for (i = 0; i < 4; i++) rows[i] = layer->columns * (row + i < layer->rows ? row + i : layer->rows - 1);
                four_rows(sums, biases + row, rows, (const int8_t *)model + layer->weights, x, layer->columns);
            }
            *y++ = (int8_t)clamped(wrapping_sum(scaled(sums[row & 3], &scalings[row * layer->scaling_step]), layer->zero),
                                   layer->lowest, 127);
        }
    }
}

static void run_lstm(const uint8_t *model, uint8_t *memory, const Lstm *lstm, const int8_t *x) {
    const int8_t *file = (const int8_t *)model;
    int8_t *hidden = (int8_t *)memory + lstm->hidden;
    uint32_t units = lstm->units, features = lstm->features, step, unit, i;
    copy(hidden, hidden + lstm->steps * units, units);
    for (step = 0; step < lstm->steps; step++, x += features, hidden += units) {
        const int32_t *biases = (const int32_t *)(memory + lstm->biases);
        int16_t *cell = (int16_t *)(memory + lstm->cell);
        for (unit = 0; unit < units; unit++, biases += 8, cell++) {
            int32_t sums[8], kept, added, state, emitted, shift;
            four_rows(sums, biases, lstm->weights, file + unit * features, x, features);
            four_rows(sums + 4, biases + 4, lstm->weights + 4, file + unit * units, hidden, units);
            for (i = 0; i < 4; i++) {
                const Scaling *by = &lstm->scalings[i];
                sums[i] = int16(int16(fast_scaled(sums[i], by)) + int16(fast_scaled(sums[i + 4], by + 4)));
            }
            /* 2^-15 and 2^-30 over the cell's scale are powers of two: their doubled rounding takes no multiplication */
            kept = fast_rounded_shift((*cell * sigmoid16(3 * sums[1]) + 1) >> 1, 13);
            added = fast_rounded_shift((sigmoid16(3 * sums[0]) * tanh16(3 * sums[2]) + 1) >> 1, lstm->update_shift);
            state = clamped(int16(kept) + int16(added), lstm->lowest, lstm->highest);
            *cell = (int16_t)state;
            state *= 3;
            shift = lstm->tanh_shift;
            state = shift < 0 ? (state + (1 << (-shift - 1))) >> -shift : (int32_t)((uint32_t)state << shift);
            emitted = scaled(tanh16(state) * sigmoid16(3 * sums[3]), &lstm->emit);
            hidden[units + unit] = int8(wrapping_sum(emitted, lstm->zero));
        }
    }
}

static int32_t activation(const Pointwise *layer, int32_t q) { /* of one int8 value, to be clamped to int8 */
    int32_t x = q - layer->zero, y, t;
    if (x <= -layer->bound) return -128;
    if (x >= layer->bound) return 127;
    y = scaled(x, &layer->scaling);
    if (layer->head.code == LOGISTIC) {
        t = 1 << 30;
        if (y) t = one_over_one_plus(exp_of_negative(y < 0 ? y : -y, 4));
        if (y < 0) t = 0x7FFFFFFF - t;
        return rounded_shift(t, 23) - 128;
    }
    /* tanh |y| = (1 - e) / (1 + e) with e = exp(-2 |y|): doubling means one integer bit more */
    t = 0;
    if (y) t = saturated_shift(newton(exp_of_negative(y < 0 ? y : -y, 5)) - (1 << 29), 2);
    return rounded_shift(y < 0 ? -t : t, 24);
}

static void run_softmax(uint8_t *memory, const Pointwise *layer, const int8_t *x, int8_t *y) {
    int32_t *exponentials = (int32_t *)(memory + layer->scratch);
    const int8_t *end = x + layer->head.count;
    uint32_t columns = layer->columns, i;
    for (; x < end; x += columns, y += columns) {
        int32_t top = -128, total = 0, reciprocal, bits = 35;
        for (i = 0; i < columns; i++) top = x[i] > top ? x[i] : top;
        for (i = 0; i < columns; i++) {
            int32_t difference = x[i] - top;
            exponentials[i] = difference < layer->bound ? 0 : exp_of_negative(scaled(difference, &layer->scaling), 5);
            total += rounded_shift(exponentials[i], 12);
        }
        while (total >= 0) { /* until its highest bit is the highest there is */
            total = (int32_t)((uint32_t)total << 1);
            bits--;
        }
        reciprocal = one_over_one_plus(total & 0x7FFFFFFF);
        for (i = 0; i < columns; i++) y[i] = int8(rounded_shift(product(reciprocal, exponentials[i]), bits) - 128);
    }
}

static const int8_t *values(const uint8_t *memory, const int8_t *input, uint32_t place) {
    return place & IN_INPUT ? input + (place & ~IN_INPUT) : (const int8_t *)memory + place;
}

static NOT_INLINE void run_operator(const uint8_t *model, uint8_t *memory, const int8_t *input, const Operator *operator) {
    const Pointwise *layer = (const Pointwise *)operator;
    const int8_t *x = values(memory, input, operator->source);
    int8_t *y = (int8_t *)memory + operator->target;
    uint32_t i;
    if (operator->code == LSTM) {
        run_lstm(model, memory, (const Lstm *)operator, x);
    } else if (operator->code == FULLY_CONNECTED) {
        run_fully_connected(model, memory, (const FullyConnected *)operator, x, y);
    } else if (operator->code == SOFTMAX) {
        run_softmax(memory, layer, x, y);
    } else if (operator->code == STRIDED_SLICE) {
        uint32_t first, total;
        walk((const Slice *)operator, x, y, &first, &total);
    } else if (operator->code == QUANTIZE) {
        for (i = 0; i < operator->count; i++)
            y[i] = int8(wrapping_sum(scaled(x[i] - layer->zero, &layer->scaling), layer->bound));
    } else if (operator->code != RESHAPE) {
        for (i = 0; i < operator->count; i++) y[i] = int8(activation(layer, x[i]));
    }
}

int32_t tinylstm_run(const void *model, void *memory, const int8_t *input, int8_t *output, uint32_t calls) {
    const Header *header = memory;
    uint8_t *bytes = memory;
    uint32_t i;
    if (header->mark != LOADED) return TINYLSTM_MEMORY;
    for (; calls; calls--, input += header->inputs) {
        const Operator *operator = (const Operator *)(bytes + header->operators);
        const Result *result = (const Result *)(bytes + header->results);
        for (i = 0; i < header->operator_count; i++) {
            run_operator(model, bytes, input, operator);
            operator = (const Operator *)(bytes + operator->next);
        }
        for (i = 0; i < header->result_count; i++, result++) {
            copy(output, values(bytes, input, result->place), result->size);
            output += result->size;
        }
    }
    return TINYLSTM_OK;
}

void tinylstm_reset(void *memory) {
    const Header *header = memory;
    uint8_t *bytes = memory;
    uint32_t at = header->operators, i, unit;
    if (header->mark != LOADED) return;
    for (i = 0; i < header->operator_count; i++) {
        const Lstm *lstm = (const Lstm *)(bytes + at);
        at = lstm->head.next;
        if (lstm->head.code != LSTM) continue;
        for (unit = 0; unit < lstm->units; unit++) {
            ((int16_t *)(bytes + lstm->cell))[unit] = 0;
            bytes[lstm->hidden + lstm->steps * lstm->units + unit] = (uint8_t)lstm->zero; /* the last step's outputs */
            KEEP_LOOP;
        }
    }
}

static NOT_INLINE int32_t loaded_number(const void *memory, const uint32_t *number) {
    return ((const Header *)memory)->mark == LOADED ? (int32_t)*number : TINYLSTM_MEMORY;
}

int32_t tinylstm_inputs(const void *memory) {
    return loaded_number(memory, &((const Header *)memory)->inputs);
}

int32_t tinylstm_outputs(const void *memory) {
    return loaded_number(memory, &((const Header *)memory)->outputs);
}
