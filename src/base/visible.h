/* Text of strangers on its way to somebody's terminal. What would act there is spelled out: C0 but
 * line ends and tabs, DEL, C1 and the controls of bidirectional text as "\u001b", what is no UTF-8
 * as "\x9b" (a terminal may take such a byte for C1). */
#ifndef BASE_VISIBLE_H
#define BASE_VISIBLE_H

#include "base/str.h"

enum {
    VISIBLE_COLOURS = 1,     /* ESC [ … m may stay */
    VISIBLE_MORE = 2,        /* more may follow: what has no end yet is left */
    VISIBLE_UNFINISHED = 40, /* and is shorter than this */
};

/* Appends s; how many of its bytes were taken: all, without VISIBLE_MORE. */
size_t visible_add(struct buf *ret, struct str s, unsigned flags);

#endif
