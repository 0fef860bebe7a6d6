/* The thinking of the gateway: what should be (from the store) and what HAProxy has → what to do,
 * in order. Pure: no I/O, no clock. */
#ifndef GATEWAY_PLAN_H
#define GATEWAY_PLAN_H

#include "gateway/errors.h"
#include "gateway/state.h"
#include "gateway/wanted.h"

/* Appends to *ret, in this order, so that at no moment an app that can serve has no server: grow
 * the pool; add servers; point apps and hosts; only then stop, cut and delete servers; and tell
 * the store who has drained. Carried out on HAProxy and planned again, it ends with no action left
 * but waiting for requests to end. With w->partial it is about the apps in *w only. */
void plan_make(const struct wanted *w, const struct state *s, int64_t now_us, struct plan *ret);

/* What an app without a ready instance answers. */
enum gateway_error plan_error(const struct want_instance *instances, size_t n);

#endif
