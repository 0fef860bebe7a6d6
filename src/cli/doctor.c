/* What Davit needs of the machine it runs on, each looked at where it lies. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/firewall.h"
#include "cli/gateway.h"
#include "cli/table.h"
#include "cli/userns.h"
#include "model/config.h"
#include "os/file.h"
#include "os/port.h"
#include "os/spawn.h"

enum verdict { FINE, WARNING, PROBLEM };

struct report {
    json_t *items;
    size_t problems;
    struct config config;
};

static void say(struct report *r, enum verdict v, const char *what, const char *hint,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void say(struct report *r, enum verdict v, const char *what, const char *hint,
                const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warning", "problem"};
    _cleanup_(buf_release) struct buf found = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&found, fmt, ap);
    va_end(ap);
    r->problems += v == PROBLEM;
    json_array_append_new(r->items,
                          json_pack("{s:s, s:s, s:s, s:s}", "check", what, "state", words[v],
                                    "found", found.ptr, "hint", v == FINE ? "" : hint));
}

static void check_kernel(struct report *r)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    uname(&u);
    sscanf(u.release, "%u.%u", &major, &minor);
    bool new_enough = major > 5 || (major == 5 && minor >= 10);
    say(r, new_enough ? FINE : PROBLEM, "kernel", "Linux 5.10 or newer is needed", "%s", u.release);
}

static bool file_mentions(const char *path, const char *word)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(1 << 20);
    return file_read(path, &text, NULL) == 0 && text.ptr && strstr(text.ptr, word);
}

/* A module that nobody has needed yet is loaded when root asks for it. */
static void load_file_system(const char *type)
{
    int fd = fsopen(type, FSOPEN_CLOEXEC);
    if (fd >= 0)
        close(fd);
}

static void check_file_system(struct report *r)
{
    load_file_system("overlay");
    bool there = file_mentions("/proc/filesystems", "\toverlay\n");
    say(r, there ? FINE : PROBLEM, "overlayfs",
        "a kernel with CONFIG_OVERLAY_FS (modprobe overlay)", "%s",
        there ? "there" : "not in /proc/filesystems");
}

static void check_cgroups(struct report *r)
{
    const char *v2 = "/sys/fs/cgroup/cgroup.controllers";
    static const char *const controllers[] = {"memory", "cpu", "pids"};
    struct buf missing = BUF_INIT;
    bool unified = path_exists(v2);
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        _cleanup_free_ char *v1 = xasprintf("/sys/fs/cgroup/%s", controllers[i]);
        if (unified ? !file_mentions(v2, controllers[i]) : !path_exists(v1))
            buf_addf(&missing, " %s", controllers[i]);
    }
    say(r, missing.len ? PROBLEM : FINE, "cgroups",
        "mount cgroup2 on /sys/fs/cgroup with these controllers", "%s%s%s", unified ? "v2" : "v1",
        missing.len ? ", missing:" : "", missing.len ? missing.ptr : "");
    buf_release(&missing);
}

static void check_namespaces(struct report *r)
{
    struct err err = {0};
    bool there = userns_check(&err) == 0;
    say(r, there ? FINE : PROBLEM, "user namespaces", err.hint, "%s", there ? "allowed" : err.msg);
    bool seccomp = path_exists("/proc/sys/kernel/seccomp/actions_avail");
    say(r, seccomp ? FINE : PROBLEM, "seccomp", "a kernel with CONFIG_SECCOMP_FILTER", "%s",
        seccomp ? "there" : "not there");
}

/* Several operators may need the same: it is told once. */
static void check_programs(struct report *r)
{
    static const struct {
        const char *program, *package;
    } all[] = {
#define PROGRAM(program, package) {#program, package},
#include "model/operators.h"
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        _cleanup_free_ char *hint = xasprintf("apt-get install %s", all[i].package);
        size_t first = 0;
        while (!streq(all[first].program, all[i].program))
            first++;
        if (first < i)
            continue;
        _cleanup_free_ char *there = program_find(all[i].program);
        say(r, there ? FINE : PROBLEM, all[i].program, hint, "%s",
            there ? "installed" : "not installed");
    }
}

static void check_nftables(struct report *r)
{
    struct err err;
    if (geteuid() != 0) {
        say(r, WARNING, "nftables", "run davit doctor as root", "can't be tried by this user");
        return;
    }
    int failed = spawn_run((const char *const[]){"nft", "list", "tables", NULL}, (struct str){0},
                           NULL, &err);
    say(r, failed ? PROBLEM : FINE, "nftables", "a kernel with CONFIG_NF_TABLES", "%s",
        failed ? err.msg : "there");
}

/* Of what instances send out: nft lists more than we can know, so that all that is judged is
 * whether the bridge was thought of. Nothing to say before there is one. */
static void check_way_out(struct report *r)
{
    static const char *const list[] = {"nft", "-j", "list", "ruleset", NULL};
    _cleanup_(buf_release) struct buf text = BUF_CAP(64 << 20), on = BUF_CAP(16);
    const char *bridge = r->config.bridge;
    if (geteuid() != 0 || !if_nametoindex(bridge) ||
        spawn_run(list, (struct str){0}, &text, NULL) < 0)
        return;
    json_auto_t *ruleset = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
    _cleanup_free_ char *obstacle = firewall_obstacle(ruleset, bridge);
    _cleanup_free_ char *hint =
        xasprintf("accept there what comes from %s, and the answers to it", bridge);
    bool forwards = file_read("/proc/sys/net/ipv4/ip_forward", &on, NULL) == 0 && *on.ptr == '1';
    if (!forwards)
        say(r, WARNING, "way out", "sysctl net.ipv4.ip_forward=1",
            "instances reach nothing outside: net.ipv4.ip_forward is 0");
    else if (obstacle)
        say(r, WARNING, "way out", hint, "instances may reach nothing outside: %s", obstacle);
    else
        say(r, FINE, "way out", "", "nothing seems to keep instances from the outside");
}

static void check_user(struct report *r)
{
    _cleanup_free_ char *hint = xasprintf(
        "useradd --system --user-group --home-dir /var/lib/davit --shell /usr/sbin/nologin %s",
        r->config.user);
    bool there = getpwnam(r->config.user);
    say(r, there ? FINE : PROBLEM, "user", hint, "%s%s", r->config.user,
        there ? "" : " does not exist");
}

static void check_disk(struct report *r)
{
    struct statvfs s;
    const char *dir = path_exists(r->config.state) ? r->config.state
                      : *r->config.root            ? r->config.root
                                                   : "/";
    if (statvfs(dir, &s) < 0) {
        say(r, PROBLEM, "disk", "the state of the platform lies there", "%s: %s", dir,
            strerror(errno));
        return;
    }
    double free_gib = (double)s.f_bavail * (double)s.f_frsize / (1 << 30);
    double inodes = s.f_files ? 100.0 * (double)s.f_favail / (double)s.f_files : 100;
    enum verdict v = free_gib < 1 || inodes < 2    ? PROBLEM
                     : free_gib < 5 || inodes < 10 ? WARNING
                                                   : FINE;
    say(r, v, "disk", "images, builds and logs need room: free some, or lower retain_releases",
        "%.1f GiB and %.0f%% of the inodes free in %s", free_gib, inodes, dir);
}

static void check_limits(struct report *r)
{
    _cleanup_(buf_release) struct buf n = BUF_CAP(64);
    long instances = file_read("/proc/sys/fs/inotify/max_user_instances", &n, NULL) == 0 && n.ptr
                         ? atol(n.ptr)
                         : 0;
    say(r, instances >= 128 ? FINE : WARNING, "inotify", "sysctl fs.inotify.max_user_instances=512",
        "%ld instances a user", instances);
}

/* Before the platform has started: what will stand in its way. */
static void check_port(struct report *r, int64_t port)
{
    struct port_holder h;
    if (!port || !port_holder(r->config.listen, port, &h))
        return;
    _cleanup_free_ char *who = port_holder_text(&h), *what = xasprintf("port %d", (int)port);
    say(r, WARNING, what, "stop it, or set http_port and https_port in davit.conf", "held by %s",
        who);
}

static void check_gateway(struct cli *cli, struct report *r, const json_t *status)
{
    struct err err = {0};
    if (gateway_check(cli, status, &err) < 0)
        say(r, PROBLEM, "gateway", err.hint, "%s", err.msg);
    else
        say(r, gateway_is_ok(status) ? FINE : WARNING, "gateway", "davit status --wait 10s", "%s",
            gateway_is_ok(status) ? "serves" : "is starting");
}

static void check_platform(struct cli *cli, struct report *r)
{
    struct err err = {0};
    json_auto_t *status = NULL;
    bool answers = api_call(cli, "GET", "/v1/status", NULL, &status, &err) == 0;
    say(r, answers ? FINE : PROBLEM, "davitd", *err.hint ? err.hint : "start it: davitd", "%s",
        answers ? "answers" : err.msg);
    if (answers) {
        check_gateway(cli, r, status);
        return;
    }
    check_port(r, r->config.http_port);
    check_port(r, r->config.https_port);
}

/* Stacks that Debian has updates for, or that could not be looked after. */
static void check_stacks(struct cli *cli, struct report *r)
{
    json_auto_t *doc = NULL;
    size_t i;
    json_t *item;
    _cleanup_(buf_release) struct buf late = BUF_INIT;
    if (api_call(cli, "GET", "/v1/stacks", NULL, &doc, NULL) < 0)
        return;
    json_array_foreach(json_object_get(doc, "items"), i, item)
    {
        _cleanup_free_ char *name = field_text(item, "name"), *error = field_text(item, "error"),
                            *updates = field_text(item, "updates");
        if (*error || *updates)
            buf_addf(&late, "%s%s", late.len ? ", " : "", name);
    }
    if (late.len)
        say(r, WARNING, "stacks", "davit stacks says why; davitd stacks --refresh tries again",
            "updates may wait for %s", late.ptr);
    else
        say(r, FINE, "stacks", "", "%zu, no updates wait",
            json_array_size(json_object_get(doc, "items")));
}

/* The settings tell where the rest lies; without a readable file they are the standard ones. */
static int load_settings(const struct cli *cli, struct config *ret, struct err *err)
{
    const char *root = cli->values[OPT_ROOT] ? cli->values[OPT_ROOT] : getenv("DAVIT_ROOT");
    root = root ? root : "";
    _cleanup_free_ char *path = path_join(root, "etc/davit/davit.conf");
    _cleanup_(buf_release) struct buf text = BUF_CAP(1 << 20);
    int r = file_read(path, &text, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    return config_parse(root, buf_str(&text), ret, err);
}

int verb_doctor(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {{"CHECK", "check", COLUMN_TEXT},
                                            {"STATE", "state", COLUMN_STATE},
                                            {"FOUND", "found", COLUMN_TEXT},
                                            {"WHAT TO DO", "hint", COLUMN_TEXT},
                                            {0}};
    json_auto_t *items = json_array();
    struct report report = {.items = items};
    int r = load_settings(cli, &report.config, err);
    if (r < 0)
        return r;
    check_kernel(&report);
    check_file_system(&report);
    check_cgroups(&report);
    check_namespaces(&report);
    check_programs(&report);
    check_nftables(&report);
    check_way_out(&report);
    check_user(&report);
    check_disk(&report);
    check_limits(&report);
    check_platform(cli, &report);
    check_stacks(cli, &report);
    config_release(&report.config);
    json_auto_t *doc = json_pack("{s:O}", "items", items);
    if ((r = table_print(cli, doc, columns, "", err)) < 0 || !report.problems)
        return r;
    return err_set(err, ERR_UNAVAILABLE, "%zu of these need attention", report.problems);
}
