#include "model/current.h"

int release_newest_live(const struct release_seen *all, size_t n, int64_t except)
{
    for (size_t i = n; i-- > 0;)
        if (all[i].state == RELEASE_LIVE && all[i].release->number != except)
            return (int)i;
    return -1;
}

int release_wanted(const struct release_seen *all, size_t n, const struct desired *d)
{
    for (size_t i = 0; i < n; i++)
        if (all[i].release->number == d->release && all[i].state != RELEASE_FAILED &&
            all[i].state != RELEASE_SUPERSEDED)
            return (int)i;
    return release_newest_live(all, n, d->release);
}

int64_t release_next(const struct desired *d) { return d->release + 1; }

int64_t config_in_force(const struct release_seen *all, size_t n, const struct desired *d,
                        int64_t newest)
{
    int wanted = release_wanted(all, n, d);
    if (wanted < 0)
        return newest;
    return MAX(all[wanted].release->config, d->config);
}
