/* The port's start-up code leaves the FPU off, as the Cortex-M3 has none. uart_init is the first that it calls. */

#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88) /* Armv7-M Architecture Reference Manual, B3.2.20 */
#define CP10_CP11_FULL_ACCESS (0xFU << 20)

void __real_uart_init(void);
void __wrap_uart_init(void);

void __wrap_uart_init(void) {
    CPACR |= CP10_CP11_FULL_ACCESS;
    __asm volatile ("dsb\n isb");
    __real_uart_init();
}
