/* The instances' network: which it is, and what is said to other people's firewalls. */
#include "cm.h"

#include <arpa/inet.h>

#include "run/network.h"
#include "run/wayout.h"

static void the_network_that_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *wish, *used[4], *taken;
    } cases[] = {
        {"10.210.0.0", {NULL}, "10.210.0.0"},
        {"10.210.0.0", {"192.168.1.5/24", "10.211.0.0/16"}, "10.210.0.0"},
        {"10.210.0.0", {"10.210.7.1/24"}, "10.211.0.0"},
        {"10.210.0.0", {"10.210.255.255"}, "10.211.0.0"},
        {"10.255.0.0", {"10.255.0.1/16", "10.0.0.0/15"}, "10.2.0.0"},
        {"10.210.0.0", {"10.128.0.0/9"}, "10.0.0.0"},
        {"10.210.0.0", {"10.0.0.0/8"}, "172.16.0.0"},
        {"10.210.0.0", {"10.0.0.0/8", "172.17.0.1/16", "172.16.0.0/24"}, "172.18.0.0"},
        {"10.210.0.0", {"10.0.0.0/8", "172.16.0.0/12"}, "192.168.0.0"},
        {"10.210.0.0", {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}, "10.210.0.0"},
        {"10.210.0.0", {"0.0.0.0/1", "128.0.0.0/1", "10.210.0.0/20"}, "10.211.0.0"},
        {"172.20.0.0", {"172.20.0.0/16"}, "172.16.0.0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netlink_address used[4];
        size_t n = 0;
        struct err err;
        for (; n < 4 && cases[i].used[n]; n++)
            assert_ok(netlink_parse_address(cases[i].used[n], &used[n], &err), err);
        uint32_t taken = network_choose(ntohl(inet_addr(cases[i].wish)), used, n);
        assert_string_equal(inet_ntoa((struct in_addr){htonl(taken)}), cases[i].taken);
    }
}

static const char *ours = "chain DAVIT-davit0 {\n}\n";

static char *rules(const char *forward, const char *docker_user, bool open)
{
    const char *const lists[WAYOUT_CHAINS] = {forward, docker_user, ours};
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
    const char *before = ours;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ours = cases[i].open ? before : NULL;
        _cleanup_free_ char *r = rules(cases[i].forward, cases[i].docker_user, cases[i].open);
        assert_string_equal(r ? r : "", "");
    }
    ours = before;
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
    _cleanup_free_ char *rest = rules(CLOSED, NULL, false); /* somebody flushed the others */
    assert_string_equal(rest, "*filter\n-F DAVIT-davit0\n-X DAVIT-davit0\nCOMMIT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_network_that_is_taken),
        cmocka_unit_test(what_is_open_is_left_alone),
        cmocka_unit_test(what_is_closed_is_opened),
        cmocka_unit_test(what_was_opened_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
