/* cmocka with what it wants included first, and the few checks we use everywhere. */
#ifndef TEST_CM_H
#define TEST_CM_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"
#include "base/str.h"

/* f(…, &err) succeeded; else says why. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, (err).msg);                                                  \
    } while (0)
/* It failed with this code. */
#define assert_err(call, expected) assert_int_equal((call), -(int)(expected))
#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("'%s' is not in: %s", (part), (text));                                        \
    } while (0)

#endif
