#include "base/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

int64_t time_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t time_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void time_log_text(int64_t wall_us, char ret[TIME_TEXT_LEN + 1])
{
    time_t s = wall_us / 1000000;
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(ret, TIME_TEXT_LEN + 1, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, TIME_TEXT_LEN + 1 - n, ".%06u+00:00", (unsigned)(wall_us % 1000000));
}

void time_rfc3339(int64_t wall_us, char ret[TIME_TEXT_LEN + 1])
{
    time_t s = wall_us / 1000000;
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(ret, TIME_TEXT_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

char *time_now_text(void)
{
    char text[TIME_TEXT_LEN + 1];
    time_rfc3339(time_wall_us(), text);
    return xstrdup(text);
}

int64_t time_parse(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return -1;
    int64_t us = 0, unit = 100000;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            us += (*rest - '0') * unit;
    if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
        return -1;
    return (int64_t)timegm(&tm) * 1000000 + us;
}
