/* What decodes encodes again to a text that decodes to the same. */
#include "model/nouns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct release r = {0}, again = {0};
    if (model_decode(&release_schema, (struct str){(const char *)data, size}, &r, &err) < 0)
        return 0;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    model_encode(&release_schema, &r, &text);
    if (model_decode(&release_schema, buf_str(&text), &again, &err) < 0 ||
        !model_equal(&release_schema, &r, &again))
        abort();
    release_release(&r);
    release_release(&again);
    return 0;
}
