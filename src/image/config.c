/* OCI image-spec 1.1 config.md. Healthcheck is Docker's addition, kept by every tool. */
#include <stdio.h>
#include <sys/utsname.h>

#include "image/internal.h"

const char *config_host_arch(void)
{
    static const struct {
        const char *machine, *arch;
    } names[] = {{"x86_64", "amd64"},    {"aarch64", "arm64"},   {"armv7l", "arm"},
                 {"riscv64", "riscv64"}, {"ppc64le", "ppc64le"}, {"s390x", "s390x"},
                 {"i686", "386"}};
    struct utsname u;
    if (uname(&u) == 0)
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (streq(u.machine, names[i].machine))
                return names[i].arch;
    return "amd64";
}

/* Docker writes empty values too; so no absent member and an empty one differ. */
static void put_string(json_t *o, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(o, key, json_stringn_nocheck(value, strlen(value)));
}

static void put_list(json_t *o, const char *key, const struct strv *v)
{
    if (!v->n)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(list, json_string_nocheck(v->items[i]));
    json_object_set_new(o, key, list);
}

static void put_ports(json_t *o, const struct strv *ports)
{
    if (!ports->n)
        return;
    json_t *set = json_object();
    for (size_t i = 0; i < ports->n; i++)
        json_object_set_new(set, ports->items[i], json_object());
    json_object_set_new(o, "ExposedPorts", set);
}

static void put_labels(json_t *o, const struct strv *labels)
{
    if (!labels->n)
        return;
    json_t *map = json_object();
    for (size_t i = 0; i < labels->n; i++) {
        struct str value = str_of(labels->items[i]), key = str_cut(&value, '=');
        _cleanup_free_ char *name = xstrndup(key.ptr, key.len);
        json_object_set_new(map, name, json_string_nocheck(value.ptr ? value.ptr : ""));
    }
    json_object_set_new(o, "Labels", map);
}

static json_t *encode_run(const struct image *i)
{
    json_t *o = json_object();
    put_string(o, "User", i->user);
    put_ports(o, &i->ports);
    put_list(o, "Env", &i->env);
    put_list(o, "Entrypoint", &i->entrypoint);
    put_list(o, "Cmd", &i->cmd);
    put_string(o, "WorkingDir", i->workdir);
    put_labels(o, &i->labels);
    put_string(o, "StopSignal", i->stop_signal);
    json_t *check = i->healthcheck ? json_loads(i->healthcheck, 0, NULL) : NULL;
    if (check)
        json_object_set_new(o, "Healthcheck", check);
    return o;
}

char *config_encode(const struct image *i)
{
    _cleanup_(json_decrefp) json_t *layers = json_array();
    _cleanup_(json_decrefp) json_t *history = json_array();
    for (size_t n = 0; n < i->diff_ids.n; n++) {
        json_array_append_new(layers, json_string(i->diff_ids.items[n]));
        /* Always the same time, so that the same image has the same digest; but a time: Buildah's
         * layer cache never matches on a base without. */
        json_array_append_new(history, json_pack("{s:s, s:s}", "created", "1970-01-01T00:00:00Z",
                                                 "created_by", "davit"));
    }
    _cleanup_(json_decrefp) json_t *o =
        json_pack("{s:s, s:s, s:o, s:{s:s, s:O}, s:O}", "architecture", config_host_arch(), "os",
                  "linux", "config", encode_run(i), "rootfs", "type", "layers", "diff_ids", layers,
                  "history", history);
    return json_dumps(o, JSON_COMPACT);
}

static int wrong(const char *member, struct err *err)
{
    return err_set(err, ERR_INVALID, "image configuration: %s is not what it should be", member);
}

static int get_string(const json_t *o, const char *key, char **ret, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_string(v) && !json_is_null(v))
        return wrong(key, err);
    *ret = xstrdup(json_is_string(v) ? json_string_value(v) : "");
    return 0;
}

static int get_list(const json_t *o, const char *key, struct strv *ret, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_array(v) && !json_is_null(v))
        return wrong(key, err);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        if (!json_is_string(item))
            return wrong(key, err);
        strv_add(ret, json_string_value(item));
    }
    return 0;
}

static int get_ports(json_t *o, struct strv *ret, struct err *err)
{
    json_t *v = json_object_get(o, "ExposedPorts"), *unused;
    const char *port;
    if (v && !json_is_object(v) && !json_is_null(v))
        return wrong("ExposedPorts", err);
    json_object_foreach(v, port, unused) strv_add(ret, port);
    strv_sort(ret);
    return 0;
}

static int get_labels(json_t *o, struct strv *ret, struct err *err)
{
    json_t *v = json_object_get(o, "Labels"), *value;
    const char *name;
    if (v && !json_is_object(v) && !json_is_null(v))
        return wrong("Labels", err);
    json_object_foreach(v, name, value)
    {
        if (!json_is_string(value))
            return wrong("Labels", err);
        strv_addf(ret, "%s=%s", name, json_string_value(value));
    }
    strv_sort(ret);
    return 0;
}

static int get_healthcheck(json_t *o, char **ret, struct err *err)
{
    json_t *v = json_object_get(o, "Healthcheck");
    if (v && !json_is_object(v) && !json_is_null(v))
        return wrong("Healthcheck", err);
    *ret = json_is_object(v) ? json_dumps(v, JSON_COMPACT) : NULL;
    return 0;
}

static int decode_run(json_t *o, struct image *i, struct err *err)
{
    int r;
    if (o && !json_is_object(o) && !json_is_null(o))
        return wrong("config", err);
    if ((r = get_string(o, "User", &i->user, err)) < 0 ||
        (r = get_string(o, "WorkingDir", &i->workdir, err)) < 0 ||
        (r = get_string(o, "StopSignal", &i->stop_signal, err)) < 0 ||
        (r = get_list(o, "Env", &i->env, err)) < 0 ||
        (r = get_list(o, "Entrypoint", &i->entrypoint, err)) < 0 ||
        (r = get_list(o, "Cmd", &i->cmd, err)) < 0 || (r = get_ports(o, &i->ports, err)) < 0 ||
        (r = get_labels(o, &i->labels, err)) < 0)
        return r;
    return get_healthcheck(o, &i->healthcheck, err);
}

static int decode_layers(const json_t *rootfs, struct strv *ret, struct err *err)
{
    int r = get_list(rootfs, "diff_ids", ret, err);
    for (size_t i = 0; !r && i < ret->n; i++)
        r = digest_check(ret->items[i], "rootfs.diff_ids", err);
    return r;
}

int config_decode(struct str json, struct image *ret, struct err *err)
{
    json_error_t where;
    _cleanup_(json_decrefp) json_t *o =
        json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(o))
        return err_set(err, ERR_INVALID, "image configuration, line %d column %d: %s", where.line,
                       where.column, o ? "not an object" : where.text);
    _cleanup_(image_release) struct image i = {0};
    int r = decode_run(json_object_get(o, "config"), &i, err);
    if (!r)
        r = decode_layers(json_object_get(o, "rootfs"), &i.diff_ids, err);
    if (r < 0)
        return r;
    *ret = i;
    i = (struct image){0};
    return 0;
}

void image_release(struct image *i)
{
    free(i->digest);
    free(i->user);
    free(i->workdir);
    free(i->stop_signal);
    free(i->healthcheck);
    for (struct strv *const *v = (struct strv *const[]){&i->diff_ids, &i->env, &i->entrypoint,
                                                        &i->cmd, &i->ports, &i->labels, NULL};
         *v; v++)
        strv_release(*v);
    *i = (struct image){0};
}
