/* The thinking of the gateway: what should be (from the store) and what HAProxy has → what to do,
 * in order. Pure: no I/O, no clock. */
#ifndef GATEWAY_PLAN_H
#define GATEWAY_PLAN_H

#include "gateway/errors.h"
#include "gateway/state.h"
#include "model/nouns.h"

/* A web instance; strings belong to whoever made the struct. */
struct want_instance {
    const char *app, *id, *ip;
    int64_t index, port, restarts;
    enum instance_state state;
    int64_t since_us; /* wall clock */
};

struct want_app {
    const char *name;
    bool maintenance;
};

struct want_host {
    const char *host; /* or "*.example.com": exactly one label in the star's place */
    const char *app;
};

struct wanted {
    const char *domain; /* APP.domain answers for every app */
    int64_t drain_us;   /* how long a draining instance may take */
    struct want_app *apps;
    size_t n_apps;
    struct want_instance *instances;
    size_t n_instances;
    struct want_host *hosts;
    size_t n_hosts;
};

/* Orders the arrays as plan_make wants them. */
void wanted_sort(struct wanted *w);
bool wanted_has_app(const struct wanted *w, struct str name); /* once sorted */

/* Appends to *ret, in this order, so that at no moment an app that can serve has no server: grow
 * the pool; add servers; point apps and hosts; only then stop, cut and delete servers; and tell
 * the store who has drained. Carried out on HAProxy and planned again, it ends with no action left
 * but waiting for requests to end. */
void plan_make(const struct wanted *w, const struct state *s, int64_t now_us, struct plan *ret);

/* What an app without a ready instance answers. */
enum gateway_error plan_error(const struct want_instance *instances, size_t n);

#endif
