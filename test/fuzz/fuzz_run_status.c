/* What is read of an instance that runs: its shim's status, the sockets of its namespace, its name.
 */
#include "run/fleet.h"
#include "run/listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct shim_status s;
    struct listeners l = {0};
    int64_t release, generation, index;
    shim_status_parse(text, &s);
    shim_status_release(&s);
    listen_scan(text, 5000, 0x0100007f, &l);
    _cleanup_free_ char *id = xstrndup(size ? text.ptr : "", size);
    if (instance_id_parse(id, &release, &generation, &index) && (release < 1 || index < 1))
        abort();
    return 0;
}
