/* The instances' network: what is said to other people's firewalls. */
#include "cm.h"

#include "run/wayout.h"

static char *rules(const char *forward, const char *docker_user, bool open)
{
    const char *const lists[WAYOUT_CHAINS] = {forward, docker_user};
    struct buf b = BUF_CAP(65536);
    wayout_rules("davit0", lists, open, &b);
    return buf_take(&b);
}

#define CLOSED "chain FORWARD {\n\tcounter jump DAVIT-davit01\n}\n"
#define OPEN "chain FORWARD {\n\toifname \"davit0\" counter jump DAVIT-davit0\n}\n"

static void what_is_open_is_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *forward, *docker_user;
        bool open;
    } cases[] = {{NULL, NULL, true},
                 {NULL, NULL, false},
                 {OPEN, NULL, true},
                 {OPEN, OPEN, true},
                 {CLOSED, NULL, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *r = rules(cases[i].forward, cases[i].docker_user, cases[i].open);
        assert_string_equal(r ? r : "", "");
    }
}

static void what_is_closed_is_opened(void **state)
{
    (void)state;
    _cleanup_free_ char *both = rules(CLOSED, CLOSED, true), *one = rules(OPEN, CLOSED, true);
    assert_non_null(strstr(both, "*filter\n:DAVIT-davit0 - [0:0]\n"));
    assert_non_null(strstr(both, "\n-I FORWARD -i davit0 -j DAVIT-davit0\n"));
    assert_non_null(strstr(both, "\n-I DOCKER-USER -o davit0 -j DAVIT-davit0\n"));
    assert_non_null(strstr(both, "-A DAVIT-davit0 -i davit0 -j ACCEPT\n"));
    assert_null(strstr(one, "-I FORWARD"));
    assert_non_null(strstr(one, "-I DOCKER-USER"));
}

static void what_was_opened_is_closed(void **state)
{
    (void)state;
    _cleanup_free_ char *r = rules(OPEN, CLOSED, false);
    assert_string_equal(r, "*filter\n-D FORWARD -i davit0 -j DAVIT-davit0\n"
                           "-D FORWARD -o davit0 -j DAVIT-davit0\n"
                           "-F DAVIT-davit0\n-X DAVIT-davit0\nCOMMIT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_open_is_left_alone),
        cmocka_unit_test(what_is_closed_is_opened),
        cmocka_unit_test(what_was_opened_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
