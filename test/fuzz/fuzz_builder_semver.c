#include <stdlib.h>

#include "builder/semver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str range = {(const char *)data, size};
    const struct semver all[] = {{0, 0, 0}, {0, 2, 3}, {18, 20, 4}, {999999999, 0, 0}};
    struct err err;
    bool matches;
    int first = semver_in_range(all[0], range, &matches, &err);
    for (size_t i = 1; i < 4; i++)
        if (semver_in_range(all[i], range, &matches, &err) != first)
            abort(); /* whether it is a range does not depend on the version */
    return 0;
}
