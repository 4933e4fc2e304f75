/* What a bare-metal program needs of its core. Everything else is the same C on every target. */
#ifndef ZENMOON_BARE_H
#define ZENMOON_BARE_H

#include <stdint.h>

/* Instructions per unit of bare_timer() when the emulator runs with `-icount shift=0`: one instruction takes 1 ns there. */
extern const uint32_t bare_instructions_per_tick;

void bare_timer_start(void);
uint32_t bare_timer(void);             /* ticks since the start, rising */
void bare_loop(uint32_t turns);        /* two instructions a turn: what the timer is checked with */
int32_t bare_host(int32_t operation, const void *block); /* one semihosting call */
int main(void);
uint32_t counted_calls(const uint8_t *model, void *state, const int8_t *x, int8_t *y, uint32_t calls, uint32_t at_once);

#endif
