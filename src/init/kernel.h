/* The kernel without libc, which would cost each start of an instance more than all that is done
 * here. Results are the kernel's own: -errno for a failure. */
#ifndef INIT_KERNEL_H
#define INIT_KERNEL_H

#include <sys/syscall.h>

#if defined(__x86_64__)

static inline long kernel(long call, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = 0, sixth __asm__("r9") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(call), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

/* Where the kernel begins: the stack holds argc, argv, environment. */
#define KERNEL_ENTRY(begin)                                                                        \
    __asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\t"     \
            "call " #begin "\n\thlt\n")

#elif defined(__aarch64__)

static inline long kernel(long call, long a, long b, long c, long d)
{
    register long number __asm__("x8") = call, first __asm__("x0") = a, second __asm__("x1") = b;
    register long third __asm__("x2") = c, fourth __asm__("x3") = d, fifth __asm__("x4") = 0;
    register long sixth __asm__("x5") = 0;
    __asm__ volatile("svc #0"
                     : "+r"(first)
                     : "r"(number), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "memory", "cc");
    return first;
}

#define KERNEL_ENTRY(begin)                                                                        \
    __asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl " #begin "\n")

#else
#error "davit-init doesn't know how this machine calls its kernel: add it here"
#endif

#endif
