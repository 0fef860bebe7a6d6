#include "api/page.h"

#include "http/reply.h"

struct page page_begin(struct request *rq)
{
    json_add_open(&rq->out, NULL, '{');
    json_add_open(&rq->out, "items", '[');
    return (struct page){
        .rq = rq, .after = request_query(rq, "after"), .left = request_number(rq, "limit")};
}

struct mirror_iter page_of(const struct page *p, const struct schema *noun, const char *first)
{
    struct mirror_iter i = mirror_of(operator_mirror(api_of(p->rq)->op), noun, first);
    _cleanup_free_ char *before = key_prefix(noun, first),
                        *key = xasprintf("%s%s", before, p->after ? p->after : "");
    mirror_skip(&i, key);
    return i;
}

bool page_item(struct page *p, const char *cursor)
{
    p->more = !p->left;
    if (p->more)
        return false;
    p->left--;
    free(p->last);
    p->last = xstrdup(cursor);
    return true;
}

void page_end(struct page *p)
{
    json_add_close(&p->rq->out, ']');
    if (p->more)
        json_add_string(&p->rq->out, "next", p->last);
    json_add_close(&p->rq->out, '}');
    free(p->last);
}
