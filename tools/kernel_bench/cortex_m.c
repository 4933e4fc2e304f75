/* Start-up, timer and semihosting on the Cortex-M boards that QEMU calls mps2-an385 (M3) and mps2-an386 (M4).
 * The CMSDK timer 0 counts down at 25 MHz: 40 ns, so 40 instructions, a tick. */
#include "bare.h"

#define TIMER ((volatile uint32_t *)0x40000000) /* control, value, reload */
#define CPACR ((volatile uint32_t *)0xe000ed88)

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

const uint32_t bare_instructions_per_tick = 40;

void bare_timer_start(void) {
    TIMER[0] = 0;
    TIMER[2] = 0xffffffff;
    TIMER[1] = 0xffffffff;
    TIMER[0] = 1;
}

uint32_t bare_timer(void) { return ~TIMER[1]; }

void bare_loop(uint32_t turns) { __asm volatile("1: subs %0, #1\n bne 1b" : "+l"(turns) : : "cc"); }

int32_t bare_host(int32_t operation, const void *block) {
    register int32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(void) {
    bare_host(0x18, (const void *)0x20024); /* a fault: anything but "application exit" */
    for (;;) {
    }
}

void reset(void) {
    *CPACR |= 0xf << 20; /* the M4's floating-point unit, so that a stray use is no fault; the M3 ignores it */
    for (uint32_t *to = data_start, *from = data_load; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    bare_host(0x18, main() ? (const void *)0x20024 : (const void *)0x20026);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, reset, leave, leave, leave, leave, leave, leave, leave, leave, leave, leave, leave, leave, leave, leave,
};
