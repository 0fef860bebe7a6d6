#include "operator/current.h"

#include "base/array.h"
#include "base/mem.h"

void past_release(struct past *p) { free(p->items); }

void past_of(struct mirror *m, const char *app, struct past *ret)
{
    _cleanup_free_ char *prefix = key_prefix(&release_schema, app);
    for (struct mirror_iter i = mirror_iter(m, prefix); mirror_next(&i);) {
        if (key_is(&release_status_schema, i.key, NULL)) {
            const struct release_status *s = mirror_value(&i, &release_status_schema);
            if (s && ret->n)
                ret->items[ret->n - 1].state = s->state;
            continue;
        }
        const struct release *r = mirror_value(&i, &release_schema);
        if (!r)
            continue;
        *array_add(ret->items, ret->n) = (struct release_seen){.release = r};
    }
}

void rollouts_release(struct rollouts *r) { free(r->items); }

void rollouts_of(struct mirror *m, const char *app, struct rollouts *ret)
{
    const struct rollout *r;
    for (struct mirror_iter i = mirror_of(m, &rollout_schema, app); (r = mirror_each(&i));) {
        _cleanup_free_ char *release = key_release(app, r->release);
        _cleanup_free_ char *status = key_rollout_status(app, r->release);
        *array_add(ret->items, ret->n) =
            (struct rollout_seen){r, mirror_get(m, release, &release_schema, NULL),
                                  mirror_get(m, status, &rollout_status_schema, NULL)};
    }
}

static const struct desired *desired_of(struct mirror *m, const char *app)
{
    _cleanup_free_ char *key = key_desired(app);
    return mirror_get(m, key, &desired_schema, NULL);
}

const struct release *current_release(struct mirror *m, const char *app)
{
    const struct desired *d = desired_of(m, app);
    _cleanup_(past_release) struct past past = {0};
    if (!d)
        return NULL;
    past_of(m, app, &past);
    int wanted = release_wanted(past.items, past.n, d);
    if (wanted >= 0)
        return past.items[wanted].release;
    _cleanup_free_ char *key = key_release(app, d->release);
    return mirror_get(m, key, &release_schema, NULL);
}

static int64_t newest_config(struct mirror *m, const char *app)
{
    int64_t newest = 0;
    const struct config_vars *v;
    for (struct mirror_iter i = mirror_of(m, &config_vars_schema, app); (v = mirror_each(&i));)
        newest = v->number;
    return newest;
}

const struct config_vars *current_config(struct mirror *m, const char *app, int64_t *ret_newest)
{
    const struct desired *d = desired_of(m, app);
    _cleanup_(past_release) struct past past = {0};
    int64_t newest = newest_config(m, app);
    if (ret_newest)
        *ret_newest = newest;
    if (!d)
        return NULL;
    past_of(m, app, &past);
    _cleanup_free_ char *key = key_config_vars(app, config_in_force(past.items, past.n, d, newest));
    return mirror_get(m, key, &config_vars_schema, NULL);
}
