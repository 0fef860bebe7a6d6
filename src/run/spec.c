#include "run/spec.h"

#include <signal.h>
#include <sys/resource.h>

#include "bundle/config.h"
#include "init/init.h"
#include "os/file.h"
#include "pact/spec.h"
#include "run/rootfs.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { DEFAULT_PORT = 5000, OPEN_FILES = 65536 };

int64_t process_port(const struct process *p) { return p->port ? p->port : DEFAULT_PORT; }

char *instance_name(const char *app, const char *type, const char *id)
{
    return xasprintf("%s.%s.%s", app, type, id);
}

char *instance_cgroup(const struct config *c, const char *name)
{
    return path_join(c->bridge, "%s", name);
}

static bool filled(const char *s) { return s && *s; }

/* ---- environment ---- */

/* Later ones win; Davit's own come last. */
static void gather_env(const struct launch *l, const char *home, struct map *ret)
{
    map_set(ret, "PATH", DEFAULT_PATH);
    map_set(ret, "HOME", home);
    for (size_t i = 0; i < l->image->env.n; i++) {
        struct str value = str_of(l->image->env.items[i]);
        struct str name = str_cut(&value, '=');
        _cleanup_free_ char *n = xstrndup(name.ptr, name.len);
        map_set(ret, n, value.ptr ? value.ptr : "");
    }
    for (size_t i = 0; l->vars && i < l->vars->n; i++)
        map_set(ret, l->vars->items[i].name, l->vars->items[i].value);
    _cleanup_free_ char *port = xasprintf("%lld", (long long)process_port(l->process));
    _cleanup_free_ char *version = xasprintf("v%lld", (long long)l->release->number);
    _cleanup_free_ char *process = xasprintf("%s.%lld", l->process->type, (long long)l->index);
    map_set(ret, "PORT", port);
    map_set(ret, "DAVIT_APP", l->app);
    map_set(ret, "DAVIT_RELEASE", version);
    map_set(ret, "DAVIT_PROCESS", process);
    if (filled(l->release->commit))
        map_set(ret, "GIT_REV", l->release->commit);
}

/* ---- what is executed ---- */

/* Buildpacks leave their settings in .profile.d: a first shell reads them and becomes a second one,
 * which executes a simple command in its own place, so that signals reach the app itself. */
#define WITH_PROFILE                                                                               \
    "for f in \"$HOME\"/.profile.d/*.sh; do [ -r \"$f\" ] && . \"$f\"; done; unset f; "            \
    "exec /bin/bash -c \"$0\""

static void gather_argv(const struct launch *l, const char *home, struct strv *ret)
{
    const struct process *p = l->process;
    if (filled(p->command)) {
        bool bash = rootfs_has(l->layers, "bin/bash");
        _cleanup_free_ char *profile = path_join(home, ".profile.d");
        strv_add(ret, bash ? "/bin/bash" : "/bin/sh");
        strv_add(ret, "-c");
        if (bash && rootfs_has(l->layers, profile))
            strv_add(ret, WITH_PROFILE);
        strv_add(ret, p->command);
        return;
    }
    if (p->argv.n) {
        for (size_t i = 0; i < p->argv.n; i++)
            strv_add(ret, p->argv.items[i]);
        return;
    }
    for (size_t i = 0; i < l->image->entrypoint.n; i++)
        strv_add(ret, l->image->entrypoint.items[i]);
    for (size_t i = 0; i < l->image->cmd.n; i++)
        strv_add(ret, l->image->cmd.items[i]);
}

/* Those that insist on being the first process, or do no more than ours. */
static bool is_an_init(const char *program)
{
    static const char *const names[] = {"init",      "systemd",    "tini",      "tini-static",
                                        "dumb-init", "catatonit",  "my_init",   "docker-init",
                                        "runit",     "runit-init", "s6-svscan", "openrc-init"};
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (streq(name, names[i]))
            return true;
    return false;
}

static bool wants_init(const struct map *env, const struct strv *argv)
{
    const char *setting = map_get(env, "DAVIT_INIT");
    return !is_an_init(argv->items[0]) && !(setting && streq(setting, "off"));
}

static const char *working_folder(const struct launch *l)
{
    if (filled(l->process->workdir))
        return l->process->workdir;
    if (filled(l->image->workdir))
        return l->image->workdir;
    return rootfs_has(l->layers, "app") ? "/app" : "/";
}

static int find_user(const struct launch *l, struct rootfs_user *ret, struct err *err)
{
    if (filled(l->process->user))
        return rootfs_user(l->layers, l->process->user, ret, err);
    if (filled(l->image->user))
        return rootfs_user(l->layers, l->image->user, ret, err);
    if (rootfs_user(l->layers, "app", ret, NULL) == 0)
        return 0;
    return rootfs_user(l->layers, "", ret, err);
}

/* crun sets it from inside the user namespace, where nothing can be raised above what we have. */
static int64_t open_files(void)
{
    struct rlimit l;
    bool known = getrlimit(RLIMIT_NOFILE, &l) == 0;
    return known ? (int64_t)MIN(l.rlim_max, (rlim_t)OPEN_FILES) : 1024;
}

/* ---- config.json ---- */

int launch_config(const struct launch *l, struct buf *ret, struct err *err)
{
    _cleanup_(rootfs_user_release) struct rootfs_user user = {0};
    _cleanup_(map_release) struct map env = {0};
    _cleanup_(strv_release) struct strv argv = {0}, all = {0};
    int r = find_user(l, &user, err);
    if (r < 0)
        return r;
    gather_env(l, user.home, &env);
    gather_argv(l, map_get(&env, "HOME"), &argv);
    if (!argv.n)
        return err_set(err, ERR_UNPROCESSABLE,
                       "neither the process nor its image says what to run");
    if (wants_init(&env, &argv))
        strv_add(&all, INIT_PATH);
    for (size_t i = 0; i < argv.n; i++)
        strv_add(&all, argv.items[i]);
    _cleanup_free_ char *hostname =
        xasprintf("%s-%s-%lld", l->app, l->process->type, (long long)l->index);
    hostname[MIN(strlen(hostname), (size_t)63)] = '\0';
    return bundle_config_format(
        &(struct bundle_config){.root = l->rootfs,
                                .hostname = hostname,
                                .cwd = working_folder(l),
                                .userns = l->userns,
                                .uid_base = l->config->uid_base,
                                .uid = user.uid,
                                .gid = user.gid,
                                .groups = user.groups,
                                .n_groups = user.n_groups,
                                .argv = (const char *const *)strv_argv(&all),
                                .env = &env,
                                .sysfs = l->sysfs,
                                .open_files = open_files(),
                                .grants = user.uid == 0 ? GRANT_ROOT | GRANT_LOW_PORTS : 0,
                                .profile = str_of(l->seccomp)},
        ret, err);
}

/* ---- the shim's part ---- */

/* "SIGQUIT", "QUIT", "3"; SIGTERM if it says nothing. */
static int stop_signal(const struct launch *l, int *ret, struct err *err)
{
    const char *text = filled(l->process->stop_signal) ? l->process->stop_signal
                       : filled(l->image->stop_signal) ? l->image->stop_signal
                                                       : "TERM";
    uint64_t n;
    if (str_to_u64(str_of(text), 1, 64, &n, NULL) == 0) {
        *ret = (int)n;
        return 0;
    }
    const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
    for (int s = 1; s < NSIG; s++)
        if (sigabbrev_np(s) && !strcasecmp(sigabbrev_np(s), name)) {
            *ret = s;
            return 0;
        }
    return err_set(err, ERR_UNPROCESSABLE, "'%s' is not a signal to stop with", text);
}

static void add_network(const struct launch *l, struct spec *s)
{
    char ip[NETWORK_TEXT], gateway[NETWORK_TEXT];
    network_address(l->network, l->host, ip);
    network_address(l->network, 1, gateway);
    s->bridge = xstrdup(l->network->bridge);
    s->ip = xasprintf("%s/%d", ip, NETWORK_PREFIX);
    s->gateway = xstrdup(gateway);
    s->hostif = network_hostif(l->network, l->host);
}

int launch_spec(const struct launch *l, struct buf *b, struct err *err)
{
    const struct config *c = l->config;
    const char *type = l->process->type;
    int signal_number = 0, r = stop_signal(l, &signal_number, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *process = xasprintf("%s.%lld", type, (long long)l->index);
    _cleanup_(pact_spec_release) struct spec s = {
        .name = instance_name(l->app, type, l->id),
        .app = xstrdup(l->app),
        .process = xstrdup(process),
        .upper = path_join(l->disk, "upper"),
        .work = path_join(l->disk, "work"),
        .rootfs = xstrdup(l->rootfs),
        .sysfs = xstrdup(l->sysfs),
        .userns = xstrdup(l->userns),
        .uid_base = c->uid_base,
        /* Unique among the instances of this Davit, as the address is; a Davit with another root
         * but the same uid_base may have instances with the same owner. */
        .uid_owner = c->uid_base + BUNDLE_IDS + l->host,
        .memory = c->instance_memory << 20,
        .pids = c->instance_pids,
        .cpu_weight = c->instance_cpu_weight,
        .log = path_join(c->log, "%s/%s.log", l->app, process),
        .log_max = c->log_file_max << 20,
        .log_files = c->log_files,
        .grace = c->stop_grace,
        .signal = signal_number,
        .restart = process_type_is_phase(type) ? RESTART_NO : RESTART_ALWAYS};
    s.cgroup = instance_cgroup(c, s.name);
    for (size_t i = 0; i < l->layers->n; i++)
        strv_add(&s.layers, l->layers->items[i]);
    add_network(l, &s);
    return pact_spec_format(&s, b, err);
}

void launch_hosts(const struct launch *l, struct buf *ret)
{
    char ip[NETWORK_TEXT];
    network_address(l->network, l->host, ip);
    buf_addf(ret, "127.0.0.1\tlocalhost\n%s\t%s-%s-%lld\n", ip, l->app, l->process->type,
             (long long)l->index);
}
