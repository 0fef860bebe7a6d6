/* What should be, as far as the gateway is concerned: apps, their hosts, their web instances. Pure.
 */
#ifndef GATEWAY_WANTED_H
#define GATEWAY_WANTED_H

#include "base/str.h"
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
    bool partial; /* only some apps, all of which there are, and no hosts: the others are as they
                     should be */
    const char *domain; /* APP.domain answers for every app */
    int64_t drain_us;   /* how long a draining instance may take */
    struct want_app *apps;
    size_t n_apps;
    struct want_instance *instances;
    size_t n_instances;
    struct want_host *hosts;
    size_t n_hosts;
};

/* Orders the arrays as plan_make and the functions below want them. */
void wanted_sort(struct wanted *w);
bool wanted_has_app(const struct wanted *w, struct str name);
/* The instances of an app: the first of them and how many. */
const struct want_instance *wanted_instances(const struct wanted *w, struct str app, size_t *ret_n);
/* The one behind a server's name (state.h); NULL: there is none any more. */
const struct want_instance *wanted_instance(const struct wanted *w, const char *server);

#endif
