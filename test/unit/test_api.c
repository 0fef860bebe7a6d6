/* The pure parts of the api: routes, tokens in headers. */
#include "cm.h"

#include "api/auth.h"
#include "api/handlers.h"

int main(void)
{
    const struct CMUnitTest tests[] = {};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
