/* Which build does what next. Pure: what is known comes in, what to do comes out. */
#ifndef BUILDER_PLAN_H
#define BUILDER_PLAN_H

#include <stdbool.h>
#include <stddef.h>

enum job_phase { JOB_NONE, JOB_RUNNING, JOB_DONE };

/* One build as the store and our own jobs have it. */
struct candidate {
    const char *id, *app;
    int state; /* enum build_state; BUILD_QUEUED if it has no status yet */
    bool cancel, app_exists;
    enum job_phase job;
};

enum build_action {
    BUILD_WAIT,   /* nothing to do now */
    BUILD_START,  /* give it to a worker */
    BUILD_STOP,   /* tell its worker to stop */
    BUILD_COMMIT, /* write down what its worker brought */
    BUILD_FORGET, /* what its worker brought is written down: let go of the job */
    BUILD_REFUSE, /* nobody will work on it: cancelled before it began, its app is gone */
    BUILD_LOST,   /* it ran when we were killed */
};

/* Whether there is nothing to decide about it any more. */
bool build_is_over(const struct candidate *b);
/* Decides for each of the builds, which are sorted by id; ret[i] is for builds[i]. One build an app
 * at a time, in the order of ids; at most BUILDS_AT_ONCE in all. */
void build_plan(const struct candidate *builds, size_t n, enum build_action *ret);

#endif
