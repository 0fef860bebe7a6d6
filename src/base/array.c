#include "base/array.h"

#include "base/mem.h"

#include <string.h>

enum { FIRST_ROOM = 8 };

void *array_open(void *items, size_t n, size_t at, size_t each)
{
    if (!n || (n >= FIRST_ROOM && !(n & (n - 1))))
        items = xrealloc(items, MAX(2 * n, (size_t)FIRST_ROOM) * each);
    char *place = (char *)items + at * each;
    memmove(place + each, place, (n - at) * each);
    return items;
}

void array_close(void *items, size_t n, size_t at, size_t each)
{
    char *place = (char *)items + at * each;
    memmove(place, place + each, (n - at) * each);
}

size_t array_place(const void *items, size_t n, size_t each, const void *key,
                   int (*compare)(const void *key, const void *element))
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(key, (const char *)items + mid * each) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}
