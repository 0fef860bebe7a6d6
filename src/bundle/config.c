#include "bundle/config.h"

#include "base/json.h"

/* ---- the process ---- */

static const struct {
    const char *name;
    unsigned grants; /* any of these */
} capabilities[] = {
    {"CAP_CHOWN", GRANT_ROOT},
    {"CAP_DAC_OVERRIDE", GRANT_ROOT},
    {"CAP_FOWNER", GRANT_ROOT},
    {"CAP_FSETID", GRANT_ROOT},
    {"CAP_KILL", GRANT_ROOT},
    {"CAP_SETGID", GRANT_ROOT},
    {"CAP_SETUID", GRANT_ROOT},
    {"CAP_SYS_CHROOT", GRANT_ROOT},
    {"CAP_SETPCAP", GRANT_INSTALL},
    {"CAP_SETFCAP", GRANT_INSTALL},
    {"CAP_SYS_ADMIN", GRANT_CONTAINERS},
    {"CAP_MKNOD", GRANT_CONTAINERS},
    {"CAP_AUDIT_WRITE", GRANT_CONTAINERS},
    {"CAP_NET_BIND_SERVICE", GRANT_LOW_PORTS},
};

static void add_capabilities(struct buf *b, unsigned grants)
{
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    json_add_open(b, "capabilities", '{');
    for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
        json_add_open(b, sets[s], '[');
        for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
            if (capabilities[i].grants & grants)
                json_add_string(b, NULL, capabilities[i].name);
        json_add_close(b, ']');
    }
    json_add_close(b, '}');
}

static void add_rlimit(struct buf *b, const char *type, int64_t n)
{
    json_add_open(b, NULL, '{');
    json_add_string(b, "type", type);
    json_add_int(b, "soft", n);
    json_add_int(b, "hard", n);
    json_add_close(b, '}');
}

static void add_rlimits(struct buf *b, const struct bundle_config *c)
{
    json_add_open(b, "rlimits", '[');
    add_rlimit(b, "RLIMIT_CORE", 0);
    if (c->open_files)
        add_rlimit(b, "RLIMIT_NOFILE", c->open_files);
    if (c->file_max)
        add_rlimit(b, "RLIMIT_FSIZE", c->file_max);
    json_add_close(b, ']');
}

static void add_user(struct buf *b, const struct bundle_config *c)
{
    json_add_open(b, "user", '{');
    json_add_int(b, "uid", c->uid);
    json_add_int(b, "gid", c->gid);
    json_add_int(b, "umask", 022);
    json_add_open(b, "additionalGids", '[');
    for (size_t i = 0; i < c->n_groups; i++)
        json_add_int(b, NULL, c->groups[i]);
    json_add_close(b, ']');
    json_add_close(b, '}');
}

static void add_env(struct buf *b, const struct map *env)
{
    json_add_open(b, "env", '[');
    for (size_t i = 0; i < env->n; i++) {
        _cleanup_free_ char *pair = xasprintf("%s=%s", env->items[i].name, env->items[i].value);
        json_add_string(b, NULL, pair);
    }
    json_add_close(b, ']');
}

static void add_process(struct buf *b, const struct bundle_config *c)
{
    json_add_open(b, "process", '{');
    add_user(b, c);
    json_add_list(b, "args", c->argv);
    add_env(b, c->env);
    json_add_string(b, "cwd", c->cwd);
    add_capabilities(b, c->grants);
    add_rlimits(b, c);
    json_add_bool(b, "noNewPrivileges", true);
    if (c->oom_score_adj)
        json_add_int(b, "oomScoreAdj", c->oom_score_adj);
    json_add_close(b, '}');
}

/* ---- what it is put in ---- */

#define QUIET "nosuid", "nodev"

static const struct place {
    const char *target, *type;
    const char *const *options;
} places[] = {
#define PLACE(target, type, ...)                                                                   \
    {                                                                                              \
        target, type, (const char *const[]) { __VA_ARGS__, NULL }                                  \
    }
    PLACE("/proc", "proc", QUIET, "noexec"),
    PLACE("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=64k"),
    PLACE("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
          "gid=5"),
    PLACE("/dev/shm", "tmpfs", QUIET, "noexec", "mode=1777", "size=64m"),
    PLACE("/dev/mqueue", "mqueue", QUIET, "noexec"),
};

static void add_mount(struct buf *b, const char *target, const char *type, const char *source,
                      const char *const *options)
{
    json_add_open(b, NULL, '{');
    json_add_string(b, "destination", target);
    json_add_string(b, "type", type);
    json_add_string(b, "source", source);
    json_add_list(b, "options", options);
    json_add_close(b, '}');
}

static void add_mounts(struct buf *b, const struct bundle_config *c)
{
    static const char *const sys[] = {"bind", QUIET, "noexec", "ro", NULL};
    static const char *const tmpfs[] = {QUIET, "noexec", "mode=1777", "size=64m", NULL};
    static const char *const bind[2][5] = {{"rbind", QUIET, "ro"}, {"rbind", QUIET, "rw"}};
    json_add_open(b, "mounts", '[');
    for (const struct place *p = places; p < places + ARRAY_LEN(places); p++)
        add_mount(b, p->target, p->type, p->type, p->options);
    if (c->sysfs)
        add_mount(b, "/sys", "bind", c->sysfs, sys);
    for (const struct bundle_mount *m = c->mounts; m < c->mounts + c->n_mounts; m++)
        if (m->source)
            add_mount(b, m->target, "bind", m->source, bind[m->writable]);
        else
            add_mount(b, m->target, "tmpfs", "tmpfs", tmpfs);
    json_add_close(b, ']');
}

static void add_mapping(struct buf *b, const char *name, int64_t base)
{
    json_add_open(b, name, '[');
    json_add_open(b, NULL, '{');
    json_add_int(b, "containerID", 0);
    json_add_int(b, "hostID", base);
    json_add_int(b, "size", BUNDLE_IDS);
    json_add_close(b, '}');
    json_add_close(b, ']');
}

static void add_namespaces(struct buf *b, const char *userns)
{
    static const char *const own[] = {"pid", "mount", "ipc", "uts", "cgroup"};
    json_add_open(b, "namespaces", '[');
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        json_add_open(b, NULL, '{');
        json_add_string(b, "type", own[i]);
        json_add_close(b, '}');
    }
    json_add_open(b, NULL, '{');
    json_add_string(b, "type", "user");
    json_add_string(b, "path", userns);
    json_add_close(b, '}');
    json_add_close(b, ']');
}

static const char *const masked[] = {"/proc/acpi",
                                     "/proc/asound",
                                     "/proc/interrupts",
                                     "/proc/kcore",
                                     "/proc/keys",
                                     "/proc/latency_stats",
                                     "/proc/sched_debug",
                                     "/proc/scsi",
                                     "/proc/timer_list",
                                     "/proc/timer_stats",
                                     "/sys/devices/virtual/powercap",
                                     "/sys/firmware",
                                     NULL};
static const char *const read_only[] = {"/proc/bus",           "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/sysrq-trigger", NULL};

int bundle_config_format(const struct bundle_config *c, struct buf *ret, struct err *err)
{
    json_add_open(ret, NULL, '{');
    json_add_string(ret, "ociVersion", "1.0.2");
    add_process(ret, c);
    json_add_open(ret, "root", '{');
    json_add_string(ret, "path", c->root);
    json_add_close(ret, '}');
    json_add_string(ret, "hostname", c->hostname);
    add_mounts(ret, c);
    json_add_open(ret, "linux", '{');
    add_mapping(ret, "uidMappings", c->uid_base);
    add_mapping(ret, "gidMappings", c->uid_base);
    add_namespaces(ret, c->userns);
    json_add_list(ret, "maskedPaths", masked);
    json_add_list(ret, "readonlyPaths", read_only);
    json_add_raw(ret, "seccomp", c->profile);
    json_add_close(ret, '}');
    json_add_close(ret, '}');
    buf_addc(ret, '\n');
    return buf_check(ret, "config.json", err);
}
