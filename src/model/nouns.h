/* The nouns of the platform, each with the keys it lives under in the store and its table for the
 * codec. Times are RFC 3339 texts in UTC unless they say otherwise. All of a struct is released by
 * model_release(&x_schema, &x), or by _cleanup_(x_release). */
#ifndef MODEL_NOUNS_H
#define MODEL_NOUNS_H

#include "model/codec.h"

#define DEFINE_NOUN(noun)                                                                          \
    extern const struct schema noun##_schema;                                                      \
    static inline void noun##_release(struct noun *value) { model_release(&noun##_schema, value); }

/* /apps/A — who owns it. Written by api. */
struct app {
    char *name, *owner, *created;
    char *branch; /* deploy branch: the first one that was pushed; empty before */
};
DEFINE_NOUN(app)

/* /apps/A/desired — what should run. Written by api; builder sets `release` when a release is born.
 */
struct desired {
    int64_t release;         /* 0: nothing was ever deployed */
    int64_t generation;      /* grows by one with every `restart` */
    struct counts formation; /* process type → instances; types not named: web 1, others 0 */
    bool maintenance;
    int64_t config; /* revision that was set for the next release, whatever makes it (--no-restart);
                       0: none since the last rollback */
};
DEFINE_NOUN(desired)

/* /apps/A/config/N — a revision of the config variables, immutable. Which one is in force:
 * model/current.h. */
struct config_vars {
    int64_t number;
    char *created, *by;
    struct map vars;
};
DEFINE_NOUN(config_vars)

/* One health check of a process, in app.json's terms. */
enum check_type { CHECK_STARTUP, CHECK_LIVENESS, CHECK_READINESS };
struct check {
    int type; /* enum check_type */
    char *name;
    /* exactly one of: */
    bool listening;        /* the port is listened on */
    char *path;            /* GET answers 2xx */
    struct strv command;   /* exits 0 inside the instance */
    int64_t uptime;        /* seconds it must have run */
    int64_t port;          /* 0: the process's own */
    int64_t attempts;      /* 0: 3 */
    int64_t timeout, wait; /* seconds; 0: 5 */
    int64_t initial_delay; /* seconds */
    char *content;         /* the body must contain it */
    char *scheme;          /* "http" if empty */
    struct map headers;
};
DEFINE_NOUN(check)

/* A process type of a release. */
struct process {
    char *type;         /* "web" */
    char *command;      /* given to a shell in the image; or */
    struct strv argv;   /* executed as it is */
    char *user;         /* in the image; empty: the image's, else `app` */
    char *workdir;      /* empty: the image's, else /app */
    char *stop_signal;  /* empty: SIGTERM */
    int64_t port;       /* PORT; 0: 5000 */
    int64_t quantity;   /* default formation; 0 unless said, web 1 */
    struct list checks; /* of struct check */
};
DEFINE_NOUN(process)

/* Types the platform itself runs, once each release: "release" before it goes live (the release
 * phase), "postdeploy" behind that. They can't be scaled. */
#define RELEASE_PHASE "release"
#define POSTDEPLOY "postdeploy"
bool process_type_is_phase(const char *type);

/* /apps/A/releases/N — immutable. The process types "release" and "postdeploy" run once.
 */
struct release {
    int64_t number;
    char *created, *by;
    char *description;     /* "Deploy 1a2b3c4", "Rollback to v3", "Set A, B" */
    char *image;           /* manifest digest "sha256:…" */
    char *commit;          /* empty unless it came from git */
    int64_t config;        /* number of the config revision */
    struct list processes; /* of struct process */
};
DEFINE_NOUN(release)

const struct process *release_process(const struct release *r, const char *type); /* NULL: none */
/* Which of an app's releases keep their images: the newest `retain` that did not fail, `current`,
 * and all after it. numbers and states (enum release_state) are in ascending order of number; sets
 * keep[i]. */
void releases_retained(const int64_t *numbers, const int *states, size_t n, int64_t current,
                       int64_t retain, bool *keep);

/* /apps/A/releases/N/status — what became of it. Written by run. */
enum release_state {
    RELEASE_PENDING,    /* not yet looked at */
    RELEASE_PREPARING,  /* its release phase runs */
    RELEASE_STARTING,   /* instances are getting ready beside the old ones */
    RELEASE_LIVE,       /* serves */
    RELEASE_FAILED,     /* never got ready; the release before it goes on serving */
    RELEASE_SUPERSEDED, /* a later one serves or was tried */
};
extern const char *const release_state_names[];
struct release_status {
    int state; /* enum release_state */
    char *since;
    char *reason;    /* why it failed, for the pusher */
    struct strv log; /* the last log lines of what failed */
};
DEFINE_NOUN(release_status)

/* Of all apps together; of one app one after the other, in the order of ids. */
enum { BUILDS_AT_ONCE = 2 };

/* /builds/ID — something to make an image of. Written by api; ids sort by time. */
struct build {
    char *id, *app, *created, *by;
    char *archive; /* absolute path of a tar with the source tree; or */
    char *image;   /* in image_import's words: "docker://…", "oci-archive:…" */
    char *commit, *branch;
    char *description;
    bool cancel; /* whoever wanted it is gone */
};
DEFINE_NOUN(build)

/* /builds/ID/status — written by builder. Its output is in <state>/builds/ID/output.log, plain text
 * lines. */
enum build_state { BUILD_QUEUED, BUILD_RUNNING, BUILD_SUCCEEDED, BUILD_FAILED, BUILD_CANCELLED };
extern const char *const build_state_names[];
struct build_status {
    int state; /* enum build_state */
    char *since;
    char *image;     /* of a success: manifest digest, */
    int64_t release; /* and the number of the release it made */
    char *error;     /* of a failure: "failed to compile Node.js app" */
};
DEFINE_NOUN(build_status)

/* /instances/A/TYPE/ID — one process that runs, or should. Written by run; gateway alone writes
 * `drained`. */
#define INSTANCE_STATES(X)                                                                         \
    X(STARTING, "starting") /* started, not ready yet */                                           \
    X(READY, "ready")       /* its checks passed: may get requests */                              \
    X(DRAINING, "draining") /* gets no new requests */                                             \
    X(DRAINED, "drained")   /* its last request has ended */                                       \
    X(STOPPING, "stopping") /* SIGTERM was sent */                                                 \
    X(STOPPED, "stopped")   /* gone */                                                             \
    X(CRASHED, "crashed")   /* exited by itself; waits for its restart */
enum instance_state {
#define X(name, text) INSTANCE_##name,
    INSTANCE_STATES(X)
#undef X
};
extern const char *const instance_state_names[];
struct instance {
    char *app, *type,
        *id;       /* id: "v3.g0.1", unique in its app and type: release, generation, index */
    int64_t index; /* from 1: the 1 of web.1 */
    int64_t release, generation;
    int state; /* enum instance_state */
    char *ip;  /* on the instances' bridge */
    int64_t port;
    int64_t pid;         /* on this machine; 0 when it does not run */
    char *since;         /* of this state */
    int64_t restarts;    /* crashes since it was made */
    int64_t exit_status; /* of the last exit: 0–255, 128+signal */
    char *reason;        /* why it last exited: "Process exited with status 137 (out of memory)" */
};
DEFINE_NOUN(instance)

/* /routing/A — which instances get the app's requests now. Written by gateway, once it is so. */
struct routing {
    char *app;
    struct strv instances; /* ids of web instances, sorted; without those that drain */
};
DEFINE_NOUN(routing)

/* /apps/A/domains/H — a further host name. */
struct domain {
    char *host, *created;
};
DEFINE_NOUN(domain)

/* /remains/A/OPERATOR — what that operator has not removed yet of a destroyed app. Written by api;
 * each operator deletes its own when it is done. Until all have, there can't be another app of that
 * name, so that nothing of the one can become the other's. */
struct remains {
    char *app;
    struct strv images, builds; /* for `builder`: digests and ids */
};
DEFINE_NOUN(remains)
extern const char *const remains_operators[];

/* /stacks/NAME — a stack or runtime that images of this machine stand on. Written by builder. */
struct stack {
    char *name;          /* "runtime-python-3" */
    char *made;          /* when its packages were installed */
    char *checked;       /* when Debian was last asked for newer ones; empty: never */
    struct strv updates; /* packages Debian has newer versions of; empty once it is made anew */
    char *error;         /* why it could not be asked, or the stack not be made anew */
};
DEFINE_NOUN(stack)

/* /users/U and /tokens/HASH (hex sha256 of the token). */
enum role { ROLE_VIEWER, ROLE_DEVELOPER, ROLE_ADMIN };
extern const char *const role_names[];
struct user {
    char *name, *created;
    int role; /* enum role */
};
DEFINE_NOUN(user)
struct token {
    char *user, *name, *created;
    char *expires; /* empty: never */
};
DEFINE_NOUN(token)

/* /events/N (twenty digits) — the audit log: each holds the hash of the one before. Written by api.
 */
struct event {
    int64_t number;
    char *when, *who, *from; /* from: "unix:uid=0" or an address */
    char *what;              /* "app.create" */
    char *app;
    char *detail;
    char *previous; /* hex sha256 of the document of event number-1; empty for the first */
};
DEFINE_NOUN(event)
/* /audit — where the log begins now that older events were dropped. Not there: with event 1. */
struct audit {
    int64_t oldest;
};
DEFINE_NOUN(audit)

/* Keys. Each returns a new string, the caller's. */
char *key_app(const char *app);
char *key_desired(const char *app);
char *key_config(const char *app, int64_t number);
char *key_release(const char *app, int64_t number); /* numbers in ten digits, so that they sort */
char *key_release_status(const char *app, int64_t number);
char *key_domain(const char *app, const char *host);
char *key_build(const char *id);
char *key_build_status(const char *id);
char *key_instance(const char *app, const char *type, const char *id);
char *key_routing(const char *app);
char *key_remains(const char *app, const char *who);
char *key_stack(const char *name);
char *key_token(const char *hash);
char *key_user(const char *name);
char *key_event(int64_t number);
#define KEY_AUDIT "/audit"
/* Takes a key apart: key_match(key, "/apps/?/releases/?", parts). Each "?" in the pattern stands
 * for one component, put into parts[] (views into key). False if the key does not have that form or
 * has more components. */
bool key_match(const char *key, const char *pattern, struct str *parts);

#endif
