/* The name of an instance that runs. */
#include "run/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t release, generation, index;
    _cleanup_free_ char *id = xstrndup(size ? (const char *)data : "", size);
    if (instance_id_parse(id, &release, &generation, &index) && (release < 1 || index < 1))
        abort();
    return 0;
}
