/* Namespaces, overlay, interfaces and cgroups, for real: needs root, and leaves nothing behind. */
#include "cm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netlink.h"
#include "os/pidfd.h"
#include "os/spawn.h"

static char dir[] = "/tmp/davit-machine-XXXXXX";

/* ---- network ---- */

static void addresses_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *ip;
        unsigned prefix;
    } good[] = {
        {"10.1.2.3/16", "10.1.2.3", 16}, {"10.0.0.1", "10.0.0.1", 32}, {"0.0.0.0/0", "0.0.0.0", 0}};
    static const char *const bad[] = {"",
                                      "10.1.2",
                                      "10.1.2.3/33",
                                      "10.1.2.3/",
                                      "a.b.c.d/8",
                                      "10.1.2.3/8/8",
                                      "::1/64",
                                      "10.1.2.3/-1",
                                      "10.1.2.3 ",
                                      "10.1.2.300/16",
                                      "1000.1000.1000.1000.1/8"};
    struct netlink_address a;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(netlink_parse_address(good[i].text, &a, &err), err);
        assert_int_equal(a.ip.s_addr, inet_addr(good[i].ip));
        assert_int_equal(a.prefix, good[i].prefix);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(netlink_parse_address(bad[i], &a, &err), ERR_INVALID);
}

static int open_netns(void) { return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC); }

static struct ifreq ask(unsigned long what, const char *name)
{
    struct ifreq r = {0};
    _cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    assert_int_equal(ioctl(s, what, &r), 0);
    return r;
}

static in_addr_t ip_of(const char *name)
{
    struct ifreq r = ask(SIOCGIFADDR, name);
    return ((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr;
}

static void a_veth_joins_two_namespaces(void **state)
{
    (void)state;
    struct err err;
    struct netlink_address bridge = {{inet_addr("10.9.0.1")}, 16},
                           ip = {{inet_addr("10.9.0.2")}, 24};
    assert_ok(namespace_network(&err), err);
    _cleanup_close_ int host = -1, inside = -1;
    assert_ok(netlink_open(&host, &err), err);
    assert_ok(netlink_bridge(host, "br-test", bridge, &err), err);
    assert_ok(netlink_bridge(host, "br-test", bridge, &err), err); /* again is fine */
    assert_int_equal(ip_of("br-test"), bridge.ip.s_addr);
    struct ifreq mac = ask(SIOCGIFHWADDR, "br-test");
    assert_memory_equal(mac.ifr_hwaddr.sa_data, "\x02\xda", 2);

    assert_ok(namespace_network(&err), err);
    assert_ok(netlink_open(&inside, &err), err);
    _cleanup_close_ int netns = open_netns();
    struct netlink_veth veth = {"vh0", "br-test", "eth0", netns, ip.ip};
    assert_ok(netlink_veth(host, &veth, &err), err);
    assert_err(netlink_veth(host, &veth, &err), ERR_EXISTS);
    assert_true(netlink_exists(host, "vh0") && !netlink_exists(inside, "vh0"));
    assert_true(netlink_exists(inside, "eth0") && !netlink_exists(host, "eth0"));
    assert_ok(netlink_configure(inside, "eth0", ip, bridge.ip, &err), err);
    assert_int_equal(ip_of("eth0"), ip.ip.s_addr);
    mac = ask(SIOCGIFHWADDR, "eth0");
    assert_memory_equal(mac.ifr_hwaddr.sa_data, "\x02\xda\x0a\x09\x00\x02", 6);
    assert_true(ask(SIOCGIFFLAGS, "eth0").ifr_flags & IFF_UP);
    assert_true(ask(SIOCGIFFLAGS, "lo").ifr_flags & IFF_UP);
    _cleanup_(buf_release) struct buf routes = BUF_CAP(10000);
    assert_ok(file_read("/proc/self/net/route", &routes, &err), err);
    assert_contains(routes.ptr, "eth0\t00000000\t0100090A"); /* default through 10.9.0.1 */

    assert_ok(netlink_remove(host, "vh0", &err), err);
    assert_false(netlink_exists(inside, "eth0"));
    assert_ok(netlink_remove(host, "vh0", &err), err); /* gone is fine */
}

static void errors_of_the_network_say_what(void **state)
{
    (void)state;
    struct err err;
    assert_ok(namespace_network(&err), err);
    _cleanup_close_ int nl = -1, netns = open_netns();
    assert_ok(netlink_open(&nl, &err), err);
    struct netlink_veth veth = {"vh0", "br-none", "eth0", netns, {0}};
    assert_err(netlink_veth(nl, &veth, &err), ERR_NOT_FOUND);
    assert_contains(err.msg, "there is no bridge br-none");
    veth.host = "a-name-that-is-too-long";
    assert_err(netlink_veth(nl, &veth, &err), ERR_INVALID);
    veth = (struct netlink_veth){"vh0", "lo", "eth0", netns, {0}};
    assert_true(netlink_veth(nl, &veth, &err) < 0); /* lo is no bridge */
    assert_contains(err.msg, "making interface vh0 on bridge lo: ");
    assert_false(netlink_exists(nl, "vh0"));
    struct netlink_address ip = {{inet_addr("10.9.0.2")}, 24};
    assert_err(netlink_configure(nl, "eth0", ip, (struct in_addr){0}, &err), ERR_NOT_FOUND);
    assert_ok(netlink_configure(nl, NULL, ip, (struct in_addr){0}, &err), err);
    assert_true(ask(SIOCGIFFLAGS, "lo").ifr_flags & IFF_UP);
}

/* ---- mounts ---- */

static char *make(const char *name)
{
    struct err err;
    char *path = xasprintf("%s/%s", dir, name);
    assert_ok(dir_make(path, 0755, &err), err);
    return path;
}

static void put(const char *folder, const char *name, const char *text)
{
    struct err err;
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
    assert_ok(file_replace(path, str_of(text), 0644, &err), err);
}

static void assert_file(const char *folder, const char *name, const char *text)
{
    struct err err;
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
    _cleanup_(buf_release) struct buf b = BUF_CAP(100);
    assert_ok(file_read(path, &b, &err), err);
    assert_string_equal(b.ptr, text);
}

static void layers_become_one_tree(void **state)
{
    (void)state;
    struct err err;
    assert_ok(namespace_mounts(&err), err);
    _cleanup_free_ char *low = make("a:b,c\\d=e"), *top = make("top layer"), *upper = make("upper"),
                        *work = make("work"), *root = make("root");
    put(low, "both", "low");
    put(low, "low", "low");
    put(top, "both", "top");
    _cleanup_(strv_release) struct strv layers = {0};
    strv_add(&layers, top); /* twice: the uppermost counts */
    strv_add(&layers, low);
    strv_add(&layers, top);
    assert_ok(mount_overlay(&layers, upper, work, root, &err), err);
    assert_file(root, "both", "top");
    assert_file(root, "low", "low");
    put(root, "new", "new");
    assert_file(upper, "new", "new");
    /* Only here: the host (our parent's namespace) has no such mount. */
    _cleanup_free_ char *outside = xasprintf("/proc/%d/root%s/both", (int)getppid(), root);
    assert_false(path_exists(outside));
    assert_ok(mount_remove(root, &err), err);
    assert_ok(mount_remove(root, &err), err);
    strv_add(&layers, "/nowhere/at/all");
    assert_err(mount_overlay(&layers, upper, work, root, &err), ERR_NOT_FOUND);
    assert_contains(err.msg, "/nowhere/at/all");
}

/* ---- cgroups ---- */

static char group[40];

/* Of pure version 2 the one, else each that is mounted below. */
#define HIERARCHIES                                                                                \
    "if [ -e /sys/fs/cgroup/cgroup.procs ]; then all=/sys/fs/cgroup; else all=/sys/fs/cgroup/*; "  \
    "fi; "

/* The group's folders, made by hand. */
static void make_group(const char *below)
{
    _cleanup_free_ char *script = xasprintf(
        HIERARCHIES "for h in $all; do [ -e $h/cgroup.procs ] && mkdir -p $h/%s%s; done; true",
        group, below);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A process in one hierarchy's group that forks another every millisecond, up to 50. */
static pid_t busy_process(const char *below)
{
    _cleanup_free_ char *script = xasprintf(
        HIERARCHIES
        "exec 2>/dev/null; for h in $all; do [ -d $h/%s%s ] && "
        "echo $$ > $h/%s%s/cgroup.procs; done; echo ok >&3; for i in $(seq 50); do sleep 1000 & "
        "sleep 0.001; done; sleep 1000",
        group, below, group, below);
    int p[2];
    char ok[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 3);
        close(p[1] == 3 ? p[0] : p[1]);
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    close(p[1]);
    assert_int_equal(read(p[0], ok, 2), 2);
    close(p[0]);
    return pid;
}

static void a_group_is_killed_whole(void **state)
{
    (void)state;
    struct err err;
    snprintf(group, sizeof(group), "davit-test-%d", (int)getpid());
    assert_false(cgroup_exists(group));
    assert_ok(cgroup_kill(group, 100, &err), err);
    assert_ok(cgroup_remove(group, &err), err);
    make_group("/one/two");
    assert_true(cgroup_exists(group));
    pid_t upper = busy_process("/one"), lower = busy_process("/one/two");
    assert_true(cgroup_remove(group, &err) < 0); /* in use */
    assert_ok(cgroup_kill(group, 5000, &err), err);
    int status;
    assert_int_equal(waitpid(upper, &status, 0), upper);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(waitpid(lower, &status, 0), lower);
    assert_int_equal(cgroup_oom_kills(group), 0);
    assert_ok(cgroup_remove(group, &err), err);
    assert_false(cgroup_exists(group));
}

/* Exit status of a script that starts in the group. */
static int run_in_group(const char *script)
{
    struct err err;
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct spawn s = {.argv = argv, .fds = {-1, -1, -1}, .cgroup = group};
    pid_t pid = spawn_start(&s, &err);
    assert_ok(pid < 0 ? pid : 0, err);
    return spawn_wait(pid);
}

static void a_program_starts_in_a_group_with_limits(void **state)
{
    (void)state;
    struct err err;
    snprintf(group, sizeof(group), "davit-test-%d/x", (int)getpid());
    struct cgroup_limits l = {.memory = 8 << 20, .pids = 2, .cpu_weight = 50};
    assert_ok(cgroup_make(group, &l, &err), err);
    assert_ok(cgroup_make(group, &l, &err), err); /* there already */
    _cleanup_free_ char *is_in_it = xasprintf("grep -q %s /proc/self/cgroup", group);
    assert_int_equal(run_in_group(is_in_it), 0);
    assert_int_equal(run_in_group("/bin/true"), 0);      /* two processes */
    assert_true(run_in_group("sleep 1 | sleep 1") != 0); /* one more than may be */
    assert_int_equal(run_in_group("exec dd if=/dev/zero of=/dev/null bs=1M count=9"), 0);
    assert_int_equal(cgroup_oom_kills(group), 0);
    assert_int_equal(run_in_group("exec dd if=/dev/zero of=/dev/null bs=64M count=1"),
                     128 + SIGKILL);
    assert_true(cgroup_oom_kills(group) > 0);
    *strrchr(group, '/') = '\0';
    assert_ok(cgroup_kill(group, 5000, &err), err); /* the first sleep */
    assert_ok(cgroup_remove(group, &err), err);
}

static atomic_bool enough;

/* More than a thread keeps for itself, and so by malloc's lock. The compiler doesn't see that it is
 * for nothing. */
static void use_malloc(size_t i)
{
    void *volatile p = malloc(2000 + i % 60 * 1000);
    free(p);
}

static void *allocate(void *arg)
{
    for (size_t i = 0; !enough; i++)
        use_malloc(i);
    return arg;
}

static void be_born(const struct cgroup_gate *gate)
{
    if (cgroup_enter(gate) < 0)
        _exit(1);
    use_malloc(1);
    pid_t pid = fork();
    if (pid == 0)
        use_malloc(2), _exit(0);
    _exit(pid < 0 || spawn_wait(pid) != 0);
}

/* Others have malloc's lock when it is born. */
static void a_process_born_in_a_group_may_allocate(void **state)
{
    (void)state;
    struct err err;
    struct cgroup_gate gate;
    pthread_t threads[3];
    mallopt(M_ARENA_MAX, 1); /* as in davitd */
    snprintf(group, sizeof(group), "davit-test-%d", (int)getpid());
    assert_ok(cgroup_make(group, &(struct cgroup_limits){0}, &err), err);
    assert_ok(cgroup_open(group, &gate, &err), err);
    enough = false;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate, NULL), 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid = cgroup_fork(&gate);
        if (pid == 0)
            be_born(&gate);
        assert_true(pid > 0);
        _cleanup_close_ int fd = pidfd_open(pid, 0);
        struct pollfd p = {fd, POLLIN, 0};
        assert_int_equal(poll(&p, 1, 60000), 1);
        assert_int_equal(spawn_wait(pid), 0);
    }
    enough = true;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    cgroup_close(&gate);
    assert_ok(cgroup_remove(group, &err), err);
}

static void the_root_is_never_touched(void **state)
{
    (void)state;
    struct err err;
    assert_false(cgroup_exists("/"));
    assert_false(cgroup_exists(""));
    assert_ok(cgroup_kill("///", 100, &err), err); /* we are still here */
}

/* ---- pidfd ---- */

static void children_are_reaped_by_pidfd(void **state)
{
    (void)state;
    int status, sig;
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    _cleanup_close_ int fd = pidfd_open(pid, 0);
    siginfo_t info;
    waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT);
    assert_int_equal(pidfd_reap(fd, &status, &sig), 1);
    assert_int_equal(status, 7);
    assert_int_equal(sig, 0);
    assert_int_equal(pidfd_reap(fd, &status, &sig), -1);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    _cleanup_close_ int second = pidfd_open(pid, 0);
    assert_int_equal(pidfd_reap(second, &status, &sig), 0);
    kill(pid, SIGTERM);
    waitid(P_PIDFD, (id_t)second, &info, WEXITED | WNOWAIT);
    assert_int_equal(pidfd_reap(second, &status, &sig), 1);
    assert_int_equal(status, 128 + SIGTERM);
    assert_int_equal(sig, SIGTERM);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return dir_remove(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(a_veth_joins_two_namespaces),
        cmocka_unit_test(errors_of_the_network_say_what),
        cmocka_unit_test(layers_become_one_tree),
        cmocka_unit_test(a_group_is_killed_whole),
        cmocka_unit_test(a_program_starts_in_a_group_with_limits),
        cmocka_unit_test(a_process_born_in_a_group_may_allocate),
        cmocka_unit_test(the_root_is_never_touched),
        cmocka_unit_test(children_are_reaped_by_pidfd),
    };
    if (geteuid() != 0)
        return 77; /* meson: skipped */
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
