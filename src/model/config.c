#include "model/config.h"

char *path_join(const char *dir, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/", dir);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    return buf_take(&b);
}

void config_release(struct config *c)
{
#define TEXT(name, standard, help) free(c->name);
#include "model/operators.h"
    char *derived[] = {c->root, c->etc, c->state,     c->images,  c->cache,
                       c->run,  c->log, c->store_url, c->libexec, c->data};
    for (size_t i = 0; i < ARRAY_LEN(derived); i++)
        free(derived[i]);
    *c = (struct config){0};
}

static void set_text(char **at, struct str value)
{
    free(*at);
    *at = xstrndup(value.len ? value.ptr : "", value.len);
}

static int set(struct config *c, struct str name, struct str value, struct err *err)
{
#define TEXT(setting, standard, help)                                                              \
    if (str_eq(name, STR(#setting))) {                                                             \
        set_text(&c->setting, value);                                                              \
        return 0;                                                                                  \
    }
#define NUMBER(setting, standard, min, max, help)                                                  \
    if (str_eq(name, STR(#setting))) {                                                             \
        uint64_t v;                                                                                \
        int r = str_to_u64(value, min, max, &v, err);                                              \
        if (!r)                                                                                    \
            c->setting = (int64_t)v;                                                               \
        return r;                                                                                  \
    }
#include "model/operators.h"
    return err_set(err, ERR_INVALID, "there is no setting '%.*s'", (int)name.len, name.ptr);
}

static void set_defaults(struct config *c)
{
#define TEXT(setting, standard, help) c->setting = xstrdup(standard);
#define NUMBER(setting, standard, min, max, help) c->setting = (standard);
#include "model/operators.h"
}

/* FNV-1a: spreads roots over networks and interface names, where several Davits share a machine. */
static uint32_t root_hash(const char *root)
{
    uint32_t h = 2166136261U;
    for (; *root; root++)
        h = (h ^ (unsigned char)*root) * 16777619U;
    return h;
}

static void derive(struct config *c)
{
    uint32_t h = root_hash(c->root);
    c->etc = path_join(c->root, "etc/davit");
    c->state = path_join(c->root, "var/lib/davit");
    c->images = path_join(c->state, "images");
    c->cache = path_join(c->root, "var/cache/davit");
    c->run = path_join(c->root, "run/davit");
    c->log = path_join(c->root, "var/log/davit");
    c->store_url =
        *c->store ? xstrdup(c->store) : xasprintf("sqlite://%s/store/state.db", c->state);
    if (!*c->bridge) {
        free(c->bridge);
        c->bridge = *c->root ? xasprintf("davit-%06x", h & 0xffffff) : xstrdup("davit0");
    }
    if (!*c->network) {
        free(c->network);
        c->network = xasprintf("10.%u.0.0/16", *c->root ? 100 + h % 100 : 210);
    }
}

int config_parse(const char *root, struct str text, struct config *ret, struct err *err)
{
    struct config c = {.root = xstrdup(root)};
    set_defaults(&c);
    for (size_t line = 1; text.ptr; line++) {
        struct str rest = str_cut(&text, '\n');
        struct str setting = str_trim(str_cut(&rest, '#'));
        if (!setting.len)
            continue;
        struct str value = setting;
        struct str name = str_trim(str_cut(&value, '='));
        int r = value.ptr ? set(&c, name, str_trim(value), err)
                          : err_set(err, ERR_INVALID, "'%.*s' is not of the form 'name = value'",
                                    (int)MIN(setting.len, (size_t)60), setting.ptr);
        if (r < 0) {
            config_release(&c);
            return err_wrap(err, "davit.conf, line %zu: %.*s", line, (int)MIN(name.len, (size_t)40),
                            name.ptr);
        }
    }
    derive(&c);
    const char *libexec = getenv("DAVIT_LIBEXEC"), *data = getenv("DAVIT_DATA");
    c.libexec = xstrdup(libexec ? libexec : DAVIT_LIBEXECDIR);
    c.data = xstrdup(data ? data : DAVIT_DATADIR);
    *ret = c;
    return 0;
}
