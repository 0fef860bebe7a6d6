#include "builder/plan.h"

#include "model/nouns.h"

static bool finished(const struct candidate *b)
{
    return b->state == BUILD_SUCCEEDED || b->state == BUILD_FAILED || b->state == BUILD_CANCELLED;
}

/* Whether an earlier build of the app is not through yet. */
static bool must_queue(const struct candidate *builds, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!finished(&builds[k]) && streq(builds[k].app, builds[i].app))
            return true;
    return false;
}

bool build_is_over(const struct candidate *b) { return finished(b) && b->job == JOB_NONE; }

static enum build_action decide(const struct candidate *b, bool may_start)
{
    if (finished(b))
        return b->job == JOB_DONE ? BUILD_FORGET : BUILD_WAIT;
    bool unwanted = b->cancel || !b->app_exists;
    switch (b->job) {
    case JOB_RUNNING: return unwanted ? BUILD_STOP : BUILD_WAIT;
    case JOB_DONE: return BUILD_COMMIT;
    case JOB_NONE: break;
    }
    if (b->state == BUILD_RUNNING)
        return BUILD_LOST;
    if (unwanted)
        return BUILD_REFUSE;
    return may_start ? BUILD_START : BUILD_WAIT;
}

void build_plan(const struct candidate *builds, size_t n, enum build_action *ret)
{
    size_t at_once = 0;
    for (size_t i = 0; i < n; i++)
        at_once += builds[i].job == JOB_RUNNING;
    for (size_t i = 0; i < n; i++) {
        ret[i] = decide(&builds[i], at_once < BUILDS_AT_ONCE && !must_queue(builds, i));
        at_once += ret[i] == BUILD_START;
    }
}
