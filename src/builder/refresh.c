#include "builder/refresh.h"

#include "base/time.h"
#include "builder/stack_fill.h"

/* What became of recipes[i]. */
struct fate {
    struct strv updates;
    bool looked, renewed;
};

struct round {
    const struct stacks *s;
    struct fate *fates; /* n_recipes */
};

static char *next_ref(const char *name) { return xasprintf("next.%s", name); }

static size_t recipe_index(const char *name)
{
    size_t i = 0;
    while (i < n_recipes && !streq(recipes[i].name, name))
        i++;
    return i;
}

/* --- listing --------------------------------------------------------------------------------- */

int refresh_list(const struct stacks *s, struct list *ret, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    int r = image_refs(s->images, &names, err);
    strv_sort(&names);
    for (size_t i = 0; !r && i < names.n; i++) {
        _cleanup_(found_release) struct found f = {0};
        char made[TIME_TEXT_LEN + 1];
        if (find_recipe(names.items[i], &f, NULL) < 0)
            continue;
        time_rfc3339(image_ref_time(s->images, names.items[i]), made);
        struct stack *stack = list_add(ret, sizeof(*stack));
        stack->name = xstrdup(names.items[i]);
        stack->made = xstrdup(made);
    }
    return r;
}

void refresh_list_release(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        stack_release(list_at(l, struct stack, i));
    free(l->items);
    *l = (struct list){0};
}

/* --- looking and making ---------------------------------------------------------------------- */

static bool parent_renewed(const struct round *round, const struct recipe *r)
{
    return r->parent && round->fates[recipe_index(r->parent)].renewed;
}

/* The layers a recipe's new layer goes on. */
static int parent_chain(const struct round *round, const struct recipe *r, struct strv *ret,
                        struct err *err)
{
    if (!r->parent)
        return 0;
    struct image i = {0};
    _cleanup_free_ char *next = next_ref(r->parent);
    int e = image_get(round->s->images, parent_renewed(round, r) ? next : r->parent, &i, err);
    for (size_t k = 0; !e && k < i.diff_ids.n; k++)
        strv_add(ret, i.diff_ids.items[k]);
    image_release(&i);
    return e;
}

static int renew(struct round *round, size_t i, struct err *err)
{
    const struct recipe *r = &recipes[i];
    _cleanup_(strv_release) struct strv parent = {0};
    _cleanup_free_ char *next = next_ref(r->name), *diff_id = NULL;
    output_step(round->s->out, "Preparing %s anew", r->title);
    int e = parent_chain(round, r, &parent, err);
    if (!e)
        e = stack_make(round->s, r, &parent, next, &diff_id, err);
    round->fates[i].renewed = e == 0;
    return e;
}

/* Whether the mirror was asked for this suite already. */
static bool asked(const struct round *round, const char *suite)
{
    for (size_t i = 0; i < n_recipes; i++)
        if (round->fates[i].looked && streq(recipe_suite(round->s->config, &recipes[i]), suite))
            return true;
    return false;
}

/* A stack that is not there, or not as it should be, is made by the build that needs it. */
static int look_after(struct round *round, size_t i, struct err *err)
{
    const struct recipe *r = &recipes[i];
    struct fate *fate = &round->fates[i];
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_close_ int held = -1;
    if (!r->packages || fate->renewed || image_ref_time(round->s->images, r->name) == 0)
        return 0;
    int e = stack_lock(round->s, "stacks", &held, err);
    if (e < 0 || !stack_ready(round->s, r, &layers))
        return e;
    if (!parent_renewed(round, r)) {
        bool ask = r->backports || !asked(round, recipe_suite(round->s->config, r));
        e = stack_updates(round->s, r, &layers, ask, &fate->updates, err);
        fate->looked = e == 0;
    }
    return !e && (fate->updates.n || parent_renewed(round, r)) ? renew(round, i, err) : e;
}

static int give_name(struct round *round, const char *name, struct err *err)
{
    struct image i = {0};
    _cleanup_free_ char *next = next_ref(name);
    int r = image_get(round->s->images, next, &i, err);
    if (!r)
        r = image_ref_set(round->s->images, name, i.digest, err);
    image_release(&i);
    return r;
}

/* All at once, for whoever waits for the lock. What was made for the first time on an old parent
 * since we looked is not forgotten: the build that needs it makes it again. */
static int give_names(struct round *round, struct err *err)
{
    _cleanup_close_ int held = -1;
    int r = stack_lock(round->s, "stacks", &held, err);
    for (size_t i = 0; !r && i < n_recipes; i++)
        if (round->fates[i].renewed)
            r = give_name(round, recipes[i].name, err);
    return r;
}

static void forget_names(const struct stacks *s)
{
    for (size_t i = 0; i < n_recipes; i++) {
        _cleanup_free_ char *next = next_ref(recipes[i].name);
        if (image_ref_time(s->images, next))
            image_ref_set(s->images, next, NULL, NULL);
    }
}

/* --- all together ---------------------------------------------------------------------------- */

/* What the list says of one stack; `failed`: all that was made is dropped again. */
static void tell(const struct round *round, struct stack *stack, const struct err *failed)
{
    size_t i = recipe_index(stack->name);
    if (i == n_recipes || !recipes[i].packages)
        return;
    const struct fate *fate = &round->fates[i];
    if (fate->looked || (fate->renewed && !failed))
        stack->checked = time_now_text();
    if (!failed)
        return;
    for (size_t k = 0; k < fate->updates.n; k++)
        strv_add(&stack->updates, fate->updates.items[k]);
    if (!fate->looked || fate->updates.n)
        stack->error = xstrdup(failed->msg);
}

static int look_after_all(struct round *round, struct err *err)
{
    _cleanup_close_ int held = -1;
    int r = stack_lock(round->s, "refresh", &held, err);
    if (r < 0)
        return r;
    forget_names(round->s); /* of one that was killed */
    for (size_t i = 0; !r && i < n_recipes; i++)
        r = look_after(round, i, err);
    if (!r)
        r = give_names(round, err);
    forget_names(round->s);
    return r;
}

int refresh_run(const struct stacks *s, struct list *ret, struct err *err)
{
    struct err why = {0};
    struct round round = {s, xcalloc(n_recipes, sizeof(*round.fates))};
    int r = look_after_all(&round, &why);
    int listed = refresh_list(s, ret, r < 0 ? NULL : &why);
    for (size_t i = 0; i < ret->n; i++)
        tell(&round, list_at(ret, struct stack, i), r < 0 ? &why : NULL);
    for (size_t i = 0; i < n_recipes; i++)
        strv_release(&round.fates[i].updates);
    free(round.fates);
    if (err && (r < 0 || listed < 0))
        *err = why;
    return r < 0 ? r : listed;
}
