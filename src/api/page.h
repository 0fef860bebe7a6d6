/* A list in pages: {"items": […], "next": CURSOR}, `next` only where there is more.
 *
 *     struct page p = page_begin(rq);
 *     struct mirror_iter i = page_of(&p, &user_schema, NULL);
 *     while ((u = mirror_each(&i)) && page_item(&p, u->name))
 *         reply_noun(&rq->out, NULL, &user_schema, u);
 *     page_end(&p); */
#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/api.h"

enum { PAGE_LIMIT = 100, PAGE_LIMIT_MAX = 1000 };

/* What a list's row has among its query parameters. */
#define PAGED                                                                                      \
    {"limit",  "how many items at most", PARAM_NUMBER,                                             \
     .min = 1, .max = PAGE_LIMIT_MAX,    .otherwise = PAGE_LIMIT},                                 \
    {                                                                                              \
        "after", "the `next` of the page before: only what comes behind it",                       \
            .kind = &(const struct text_kind)                                                      \
        {                                                                                          \
            .max = 400                                                                             \
        }                                                                                          \
    }

struct page {
    struct request *rq;
    const char *after; /* NULL: the first page */
    int64_t left;
    char *last; /* item's cursor */
    bool more;
};

struct page page_begin(struct request *rq);
/* Those of the noun behind `after`, where the last part of their keys is the cursor. */
struct mirror_iter page_of(const struct page *p, const struct schema *noun, const char *first);
/* Whether the item has a place on the page: false ends it. */
bool page_item(struct page *p, const char *cursor);
void page_end(struct page *p);

#endif
