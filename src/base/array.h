/* Growing arrays: a pointer and a count, both the owner's. Room doubles whenever the count reaches
 * a power of two, so that nobody has to keep how much there is: only these may lengthen such an
 * array; lowering the count shortens it. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

/* A new element at the end, or before the one at index `at`: a pointer to it, its content
 * undefined. */
#define array_add(items, n) array_insert(items, n, n)
#define array_insert(items, n, at)                                                                 \
    ({                                                                                             \
        size_t _at = (at);                                                                         \
        (items) = array_open((items), (n)++, _at, sizeof(*(items)));                               \
        &(items)[_at];                                                                             \
    })
#define array_remove(items, n, at) array_close((items), --(n), (at), sizeof(*(items)))

/* Index of the first element of a sorted array that is not before `key`; n if all are. */
size_t array_place(const void *items, size_t n, size_t each, const void *key,
                   int (*compare)(const void *key, const void *element));

/* What the macros stand on. n: before an element is added, after one was removed. */
void *array_open(void *items, size_t n, size_t at, size_t each);
void array_close(void *items, size_t n, size_t at, size_t each);

#endif
