# MicroPython's MPS2_AN385 board (Cortex-M3) with a Cortex-M4 that has DSP instructions and an FPU: qemu's mps2-an386.
# MicroPython 1.26 has no board of its own whose firmware takes armv7emsp modules.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an386

CFLAGS += -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M4F"'
LDFLAGS += -Wl,--wrap=uart_init

LDSCRIPT = mcu/arm/mps2.ld

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o

MPY_CROSS_FLAGS += -march=armv7emsp
