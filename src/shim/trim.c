#include "shim/trim.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Only segments that can't be written, before and after relocation: the rest has changed since. */
static int trim_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uintptr_t from = (object->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = (object->dlpi_addr + p->p_vaddr + p->p_memsz) & ~(page - 1);
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && from < to)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void trim_program(void) { dl_iterate_phdr(trim_object, NULL); }
