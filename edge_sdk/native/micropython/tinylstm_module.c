/* The kernel as a MicroPython native module.
 *
 *     import _tinylstm
 *     memory = bytearray(_tinylstm.size(model))
 *     _tinylstm.load(model, memory)
 *     _tinylstm.run(model, memory, x, y)
 *
 * `model` is any bytes-like object with the .tflite file, and may lie in flash. `memory` is a bytearray that holds the model's
 * state; `x` and `y` hold int8 values of one or several calls. A refused file raises ValueError with the kernel's negative
 * number; buffers whose lengths do not fit together raise ValueError with a text.
 */

#include "py/dynruntime.h"

#include "tinylstm.h"

/* Compilers call these for a structure that is copied or set to 0; the firmware's own are reached through its table. */
void *memcpy(void *to, const void *from, size_t bytes) {
    return mp_fun_table.memmove_(to, from, bytes);
}

void *memset(void *to, int value, size_t bytes) {
    return mp_fun_table.memset_(to, value, bytes);
}

static mp_buffer_info_t buffer_of(mp_obj_t object, mp_uint_t access) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(object, &buffer, access);
    return buffer;
}

/* The state is read as 32-bit words, which a memoryview may start between. */
static mp_buffer_info_t memory_of(mp_obj_t object) {
    mp_buffer_info_t memory = buffer_of(object, MP_BUFFER_RW);
    if (((uintptr_t)memory.buf & 3) != 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("memory is not aligned to 4 bytes"));
    }
    return memory;
}

/* Gives a number of the kernel back; negative ones are refusals. */
static int32_t accepted(int32_t number) {
    if (number < 0) {
        mp_raise_type_arg(&mp_type_ValueError, MP_OBJ_NEW_SMALL_INT(number));
    }
    return number;
}

static mp_obj_t module_size(mp_obj_t model_object) {
    mp_buffer_info_t model = buffer_of(model_object, MP_BUFFER_READ);
    return mp_obj_new_int(accepted(tinylstm_size(model.buf, model.len)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(size_obj, module_size);

static mp_obj_t module_load(mp_obj_t model_object, mp_obj_t memory_object) {
    mp_buffer_info_t model = buffer_of(model_object, MP_BUFFER_READ);
    mp_buffer_info_t memory = memory_of(memory_object);
    accepted(tinylstm_load(model.buf, model.len, memory.buf, memory.len));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(load_obj, module_load);

static mp_obj_t module_reset(mp_obj_t memory_object) {
    tinylstm_reset(memory_of(memory_object).buf);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(reset_obj, module_reset);

static mp_obj_t module_inputs(mp_obj_t memory_object) {
    return mp_obj_new_int(accepted(tinylstm_inputs(memory_of(memory_object).buf)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(inputs_obj, module_inputs);

static mp_obj_t module_outputs(mp_obj_t memory_object) {
    return mp_obj_new_int(accepted(tinylstm_outputs(memory_of(memory_object).buf)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(outputs_obj, module_outputs);

static mp_obj_t module_run(size_t count, const mp_obj_t *arguments) {
    (void)count;
    mp_buffer_info_t model = buffer_of(arguments[0], MP_BUFFER_READ);
    mp_buffer_info_t memory = memory_of(arguments[1]);
    mp_buffer_info_t x = buffer_of(arguments[2], MP_BUFFER_READ);
    mp_buffer_info_t y = buffer_of(arguments[3], MP_BUFFER_WRITE);
    uint32_t inputs = (uint32_t)accepted(tinylstm_inputs(memory.buf));
    uint32_t outputs = (uint32_t)accepted(tinylstm_outputs(memory.buf));
    /* Cortex-M0 has no division, and the module is linked with no library that has one. */
    uint32_t calls = 0;
    size_t left = x.len;
    for (; inputs != 0 && left >= inputs; left -= inputs) {
        calls++;
    }
    if (left != 0 || y.len != calls * outputs) {
        mp_raise_ValueError(MP_ERROR_TEXT("x or y is not as long as a whole number of calls"));
    }
    accepted(tinylstm_run(model.buf, memory.buf, x.buf, y.buf, calls));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(run_obj, 4, 4, module_run);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_size, MP_OBJ_FROM_PTR(&size_obj));
    mp_store_global(MP_QSTR_load, MP_OBJ_FROM_PTR(&load_obj));
    mp_store_global(MP_QSTR_reset, MP_OBJ_FROM_PTR(&reset_obj));
    mp_store_global(MP_QSTR_inputs, MP_OBJ_FROM_PTR(&inputs_obj));
    mp_store_global(MP_QSTR_outputs, MP_OBJ_FROM_PTR(&outputs_obj));
    mp_store_global(MP_QSTR_run, MP_OBJ_FROM_PTR(&run_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
