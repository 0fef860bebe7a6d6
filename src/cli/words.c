#include "cli/cli.h"

int duration_parse(const char *text, int64_t *ret_s, struct err *err)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct str t = str_of(text);
    int64_t factor = 1;
    for (size_t i = 0; t.len && i < ARRAY_LEN(units); i++)
        if (t.ptr[t.len - 1] == units[i].unit) {
            factor = units[i].s;
            t.len--;
            break;
        }
    uint64_t n;
    if (str_to_u64(t, 0, 3153600000U / (uint64_t)factor, &n, NULL) < 0) { /* a century */
        err_set(err, ERR_USAGE, "'%s' is not a time", text);
        return err_hint(err, "say it like 90s, 10m, 2h or 3d");
    }
    *ret_s = (int64_t)n * factor;
    return 0;
}
