#include "builder/compile.h"
#include "model/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct map processes = {0}, env = {0};
    struct err err;
    int r = release_yaml_parse((struct str){(const char *)data, size}, &processes, &env, &err);
    for (size_t i = 0; r == 0 && i < processes.n; i++)
        if (process_type_check(processes.items[i].name, &err) < 0)
            abort(); /* no other names get through */
    map_release(&processes);
    map_release(&env);
    return 0;
}
