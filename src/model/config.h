/* The settings of a machine (/etc/davit/davit.conf) and where everything lies, derived from --root.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdint.h>

#include "base/str.h"

/* SETTING_TEXT(name, default, help) and SETTING_NUMBER(name, default, min, max, help) */
#define SETTINGS(TEXT, NUMBER)                                                                     \
    TEXT(domain, "localhost", "apps answer at APP.domain, the API at api.domain")                  \
    TEXT(listen, "127.0.0.1", "address the gateway listens on; * for all")                         \
    NUMBER(http_port, 8080, 1, 65535, "port for HTTP")                                             \
    NUMBER(https_port, 8443, 0, 65535, "port for HTTPS; 0 for none")                               \
    TEXT(store, "", "URL of the store; empty: SQLite on this machine")                             \
    TEXT(user, "davit", "whom the api and the gateway run as")                                     \
    TEXT(network, "", "IPv4 network of the instances, /16; empty: 10.N.0.0/16, N from the root")   \
    TEXT(bridge, "", "name of the instances' bridge; empty: davit0, or davit-XXXX below a root")   \
    NUMBER(uid_base, 1879048192, 65536, 4000000000,                                                \
           "first of the 131072 host uids of instances and builds; best no other Davit's here")    \
    NUMBER(retain_releases, 10, 1, 1000, "releases an app keeps for rollback")                     \
    NUMBER(retain_events, 100000, 1000, 100000000, "events the audit log keeps")                   \
    NUMBER(boot_timeout, 60, 1, 3600, "seconds a new instance has to get ready (R10)")             \
    NUMBER(stop_grace, 30, 0, 3600, "seconds between SIGTERM and SIGKILL (R12)")                   \
    NUMBER(drain_timeout, 300, 0, 86400,                                                           \
           "seconds a draining instance may take to end its requests")                             \
    NUMBER(instance_memory, 512, 8, 1048576, "MiB an instance may use (R14)")                      \
    NUMBER(instance_pids, 1024, 16, 4194304, "processes and threads an instance may have")         \
    NUMBER(instance_cpu_weight, 100, 1, 10000, "CPU weight of an instance")                        \
    NUMBER(build_memory, 4096, 64, 1048576, "MiB a build may use")                                 \
    NUMBER(build_cpu_weight, 20, 1, 10000, "CPU weight of a build")                                \
    NUMBER(build_timeout, 1800, 10, 86400, "seconds a build may take")                             \
    NUMBER(build_cache, 8192, 0, 16777216, "MiB the build caches of all apps may have together")   \
    TEXT(build_services, "", "services of this machine that builds may reach: 127.0.0.1:5000 …")   \
    NUMBER(upload_max, 2048, 1, 1048576, "MiB a push or an uploaded archive may have")             \
    NUMBER(unpack_max, 2048, 1, 1048576,                                                           \
           "MiB that sources may have unpacked; each layer of an image four times that")           \
    NUMBER(log_file_max, 10, 1, 10240, "MiB a log file may have before it is rotated")             \
    NUMBER(log_files, 5, 1, 100, "log files kept of an instance")                                  \
    TEXT(debian_mirror, "http://deb.debian.org/debian", "where stacks get their packages from")    \
    TEXT(debian_suite, "bookworm", "the Debian release stacks are made of")                        \
    NUMBER(stack_refresh, 24, 0, 8760, "hours between looks for newer packages of stacks; 0: never")

struct config {
#define TEXT(name, standard, help) char *name;
#define NUMBER(name, standard, min, max, help) int64_t name;
    SETTINGS(TEXT, NUMBER)
#undef TEXT
#undef NUMBER
    char *root;      /* "" for the machine itself */
    char *etc;       /* <root>/etc/davit */
    char *state;     /* <root>/var/lib/davit */
    char *cache;     /* <root>/var/cache/davit */
    char *run;       /* <root>/run/davit */
    char *log;       /* <root>/var/log/davit */
    char *store_url; /* `store`, or sqlite://<state>/store/state.db */
    char *libexec;   /* helpers: davit-shim, hooks/pre-receive */
    char *data;      /* buildpacks, seccomp profile, error pages */
};

void config_release(struct config *c);
/* Defaults for `root` ("" or an absolute path without a trailing slash), then the settings in
 * `text`: lines `name = value`, '#' comments. Errors name the line: "davit.conf, line 4: …". */
int config_parse(const char *root, struct str text, struct config *ret, struct err *err);
/* <dir>/<the rest>, the caller's. */
char *path_join(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
