/* What is read of an instance that runs: its shim's status and its name. */
#include "run/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct shim_status s;
    int64_t release, generation, index;
    shim_status_parse(text, &s);
    shim_status_release(&s);
    _cleanup_free_ char *id = xstrndup(size ? text.ptr : "", size);
    if (instance_id_parse(id, &release, &generation, &index) && (release < 1 || index < 1))
        abort();
    return 0;
}
