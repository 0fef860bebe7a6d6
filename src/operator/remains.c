#include "operator/remains.h"

void remains_of(struct op *op, const char *who, struct strv *ret)
{
    for (struct mirror_iter i = mirror_of(operator_mirror(op), &remains_schema, NULL);
         mirror_next(&i);)
        if (str_eq(i.parts[1], str_of(who)))
            strv_take(ret, xstrndup(i.parts[0].ptr, i.parts[0].len));
}

bool remains_left(struct op *op, const char *app, const char *who)
{
    _cleanup_free_ char *key = key_remains(app, who);
    return mirror_get(operator_mirror(op), key, &remains_schema, NULL) != NULL;
}

void remains_done(struct op *op, const char *app, const char *who)
{
    _cleanup_free_ char *key = key_remains(app, who);
    operator_delete(op, key);
}
