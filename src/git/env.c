#include "git/env.h"

static void add_setting(struct strv *env, size_t *n, const char *name, const char *value)
{
    strv_addf(env, "GIT_CONFIG_KEY_%zu=%s", *n, name);
    strv_addf(env, "GIT_CONFIG_VALUE_%zu=%s", *n, value);
    ++*n;
}

/* Faults of old histories that every forge takes and that harm nobody: who wrote a commit and when
 * isn't read here, and a mode's leading zero changes nothing. Names like .git or .., and what
 * .gitmodules attacks with, stay refused. */
static const char *const harmless[] = {
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
};

static void add_fsck(struct strv *env, size_t *n)
{
    add_setting(env, n, "receive.fsckObjects", "true");
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        _cleanup_free_ char *name = xasprintf("receive.fsck.%s", harmless[i]);
        add_setting(env, n, name, "ignore");
    }
}

static void add_settings(struct strv *env, const struct config *c)
{
    size_t n = 0;
    _cleanup_free_ char *hooks = path_join(c->libexec, "hooks"),
                        *max = xasprintf("%lldm", (long long)c->upload_max);
    add_setting(env, &n, "core.hooksPath", hooks);
    add_fsck(env, &n);
    add_setting(env, &n, "receive.maxInputSize", max);
    /* A branch must not point to what power loss took away. The hook sees to the objects. */
    add_setting(env, &n, "core.fsync", "committed,-loose-object,reference");
    /* In quarantine the repository is its own alternate, whose refs a further git would list. */
    add_setting(env, &n, "core.alternateRefsCommand", "/bin/true");
    /* Every second something for the proxy to write: that is how it notices who has gone. */
    add_setting(env, &n, "receive.keepAlive", "1");
    add_setting(env, &n, "receive.procReceiveRefs", "am:refs/heads"); /* hook/land.h */
    add_setting(env, &n, "receive.autogc", "false"); /* upkeep.h does it, not in anybody's push */
    strv_addf(env, "GIT_CONFIG_COUNT=%zu", n);
}

void git_env(struct request *rq, const char *app, const char *shallow, bool atomic,
             struct strv *env)
{
    const struct git_options *o = &git_of(rq)->options;
    const struct config *c = o->config;
    const char *branch = o->branch(o->ctx, app);
    const char *protocol = request_header(rq, "Git-Protocol");
    strv_add(env, "PATH=/usr/local/bin:/usr/bin:/bin");
    strv_add(env, "HOME=/nonexistent");
    strv_add(env, "LC_ALL=C.UTF-8");
    strv_add(env, "GIT_CONFIG_NOSYSTEM=1");
    strv_add(env, "GIT_CONFIG_GLOBAL=/dev/null");
    if (protocol && strlen(protocol) <= 64)
        strv_addf(env, "GIT_PROTOCOL=%s", protocol);
    strv_addf(env, "DAVIT_SOCKET=%s/davit.sock", c->run);
    strv_addf(env, "DAVIT_APP=%s", app);
    strv_addf(env, "DAVIT_USER=%s", rq->who.user);
    strv_addf(env, "DAVIT_FROM=%s", rq->who.from);
    strv_addf(env, "DAVIT_BRANCH=%s", branch ? branch : "");
    strv_addf(env, "DAVIT_SHALLOW=%s", shallow);
    strv_addf(env, "DAVIT_ATOMIC=%s", atomic ? "1" : "");
    add_settings(env, c);
}
