/* Clocks and their texts. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds on a clock that counts suspend and never goes back (CLOCK_BOOTTIME). */
int64_t time_mono_ms(void);
/* Microseconds since 1970, UTC. */
int64_t time_wall_us(void);

enum { TIME_TEXT_LEN = 32 };
/* 2026-09-16T15:13:46.677020+00:00, the form of log lines; ret has TIME_TEXT_LEN bytes + NUL. */
void time_log_text(int64_t wall_us, char ret[TIME_TEXT_LEN + 1]);
/* 2026-09-16T15:13:46Z (RFC 3339), the form in the API and the store. */
void time_rfc3339(int64_t wall_us, char ret[TIME_TEXT_LEN + 1]);
/* Now in that form, the caller's. */
char *time_now_text(void);
/* Parses either of the two forms above; -1 if it is neither. */
int64_t time_parse(const char *text);

#endif
