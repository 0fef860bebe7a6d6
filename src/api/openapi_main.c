/* davit-openapi: prints the API's description; with a file name checks that the file is the same.
 */
#include "api/openapi.h"
#include "os/file.h"

int main(int argc, char **argv)
{
    _cleanup_(buf_release) struct buf now = BUF_INIT, written = BUF_INIT;
    struct err err;
    openapi_write(&now);
    if (argc == 1)
        return fwrite(now.ptr, 1, now.len, stdout) == now.len ? 0 : 1;
    if (file_read(argv[1], &written, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    if (str_eq(buf_str(&now), buf_str(&written)))
        return 0;
    fprintf(stderr, "%s is not what the rows of src/api say: davit-openapi > %s\n", argv[1],
            argv[1]);
    return 1;
}
