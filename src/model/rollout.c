#include "model/rollout.h"

#include "base/mem.h"

void formation_of(const struct desired *d, const struct release *r, struct counts *ret)
{
    for (size_t i = 0; i < r->processes.n; i++) {
        const struct process *p = list_at(&r->processes, const struct process, i);
        if (!process_type_is_phase(p->type))
            counts_set(ret, p->type, counts_get(&d->formation, p->type, p->quantity));
    }
}

bool rollout_asks_for(const struct rollout *r, const char *type, int64_t generation, int64_t index)
{
    return index <= counts_get(&r->processes, type, 0) &&
           (generation == r->generation || process_type_is_phase(type));
}

int64_t process_boot_ms(const struct process *p, int64_t boot_ms)
{
    for (size_t i = 0; i < p->checks.n; i++) {
        const struct check *c = list_at(&p->checks, const struct check, i);
        if (c->type != CHECK_LIVENESS)
            boot_ms += (c->initial_delay + c->uptime) * 1000;
    }
    return boot_ms;
}

/* ---- what the status says ---- */

/* It may still be about what the rollout was before. */
static bool same_attempt(const struct rollout_seen *r)
{
    return r->status && r->status->phase == r->rollout->phase &&
           r->status->generation == r->rollout->generation;
}

const char *rollout_failure(const struct rollout_seen *r)
{
    const char *reason = same_attempt(r) ? r->status->failed : NULL;
    return reason && *reason ? reason : NULL;
}

static const struct rollout_type *type_of(const struct rollout_status *s, const char *type)
{
    for (size_t i = 0; i < s->types.n; i++)
        if (streq(list_at(&s->types, const struct rollout_type, i)->type, type))
            return list_at(&s->types, const struct rollout_type, i);
    return NULL;
}

bool rollout_complete(const struct rollout_seen *r)
{
    const struct counts *asked = &r->rollout->processes;
    for (size_t i = 0; i < asked->n; i++) {
        const struct count *c = &asked->items[i];
        if (process_type_is_phase(c->name) || !c->n)
            continue;
        const struct rollout_type *t = same_attempt(r) ? type_of(r->status, c->name) : NULL;
        if (!t || t->ready < c->n)
            return false;
    }
    return true;
}

bool rollout_phase_ended(const struct rollout_status *s, const char *type, int64_t *ret_exit)
{
    for (size_t i = 0; s && i < s->exits.n; i++) {
        if (!streq(s->exits.items[i].name, type))
            continue;
        if (ret_exit)
            *ret_exit = s->exits.items[i].n;
        return true;
    }
    return false;
}

/* ---- writing it ---- */

static void carry_over(const struct rollout_seen *r, struct rollout_status *ret)
{
    for (size_t i = 0; i < r->status->exits.n; i++)
        counts_set(&ret->exits, r->status->exits.items[i].name, r->status->exits.items[i].n);
    if (!rollout_failure(r))
        return;
    ret->failed = xstrdup(r->status->failed);
    for (size_t i = 0; i < r->status->log.n; i++)
        strv_add(&ret->log, r->status->log.items[i]);
}

void rollout_status_begin(const struct rollout_seen *r, struct rollout_status *ret)
{
    *ret =
        (struct rollout_status){.generation = r->rollout->generation, .phase = r->rollout->phase};
    for (size_t i = 0; i < r->rollout->processes.n; i++) {
        const struct count *c = &r->rollout->processes.items[i];
        if (process_type_is_phase(c->name))
            continue;
        struct rollout_type *t = list_add(&ret->types, sizeof(*t));
        *t = (struct rollout_type){.type = xstrdup(c->name), .wanted = c->n};
    }
    if (r->status)
        carry_over(r, ret);
}

void rollout_status_ready(struct rollout_status *s, const char *type)
{
    struct rollout_type *t = (struct rollout_type *)type_of(s, type);
    if (t)
        t->ready++;
}

void rollout_status_waits(struct rollout_status *s, const char *type, const char *why)
{
    struct rollout_type *t = (struct rollout_type *)type_of(s, type);
    if (t && !t->why)
        t->why = xstrdup(why);
}

void rollout_status_fail(struct rollout_status *s, const char *reason)
{
    free(s->failed);
    s->failed = xstrdup(reason);
}
