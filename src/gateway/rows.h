/* The rows the tables of hosts should have. Pure; private to the plan. */
#ifndef GATEWAY_ROWS_H
#define GATEWAY_ROWS_H

#include "gateway/plan.h"

struct want_row {
    char *key;
    const char *app; /* the wanted's */
    size_t rank;     /* of rows with one key the lowest counts */
};

/* Sorted by key, each key once. */
struct want_rows {
    struct want_row *rows;
    size_t n;
};

/* APP.domain is the app's, whoever else asks for it; a wildcard's row is what follows its star. */
void want_rows_collect(const struct wanted *w, struct want_rows *ret_hosts,
                       struct want_rows *ret_wild);
void want_rows_release(struct want_rows *r);

#endif
