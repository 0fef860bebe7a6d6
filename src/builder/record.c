#include "builder/record.h"

#include "builder/tree.h"
#include "os/file.h"

/* clang-format off */
#define FIELD(kind, member) {#member, FIELD_##kind, offsetof(struct record, member)},
static const struct field fields[] = {
    FIELD(STRING, buildpacks)
    FIELD(MAP, stacks)
    FIELD(MAP, depends)
    FIELD(BOOL, reusable)
    FIELD(STRING, source)
    FIELD(STRV, run)
    FIELD(STRING, title)
    FIELD(STRING, compiled)
    FIELD(MAP, processes)
    FIELD(MAP, env)
    {0}};
/* clang-format on */
static const struct schema schema = {"record", sizeof(struct record), fields};

void record_release(struct record *r) { model_release(&schema, r); }

void record_copy(const struct record *from, struct record *ret)
{
    record_release(ret);
    model_copy(&schema, from, ret);
}

void record_load(const char *path, struct record *ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(1 << 20);
    *ret = (struct record){0};
    if (file_read(path, &text, NULL) == 0)
        model_decode(&schema, buf_str(&text), ret, NULL);
}

int record_save(const char *path, const struct record *r, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    model_encode(&schema, r, &text);
    return file_replace(path, buf_str(&text), 0600, err);
}

static void digest_vars(const struct map *vars, char ret[HASH_LEN + 1])
{
    _cleanup_(buf_release) struct buf all = BUF_INIT;
    for (size_t i = 0; i < vars->n; i++)
        buf_addf(&all, "%zu %s=%zu %s\n", strlen(vars->items[i].name), vars->items[i].name,
                 strlen(vars->items[i].value), vars->items[i].value);
    text_hash(buf_str(&all), ret);
}

static bool digest_one(const char *what, const char *dir, const struct map *vars,
                       char ret[HASH_LEN + 1])
{
    if (*what == '?') {
        text_hash(str_of(tree_kind(dir, what + 1)), ret);
        return true;
    }
    if (*what != '$')
        return tree_hash(dir, what, ret, NULL) == 0;
    if (streq(what, "$*")) {
        digest_vars(vars, ret);
        return true;
    }
    const char *value = map_get(vars, what + 1);
    if (value)
        text_hash(str_of(value), ret);
    else
        memcpy(ret, "-", 2);
    return true;
}

bool depends_digest(const struct strv *depends, const char *dir, const struct map *vars,
                    struct map *ret)
{
    for (size_t i = 0; i < depends->n; i++) {
        char digest[HASH_LEN + 1];
        if (!digest_one(depends->items[i], dir, vars, digest))
            return false;
        map_set(ret, depends->items[i], digest);
    }
    return true;
}

bool depends_unchanged(const struct record *r, const char *dir, const struct map *vars)
{
    for (size_t i = 0; i < r->depends.n; i++) {
        char digest[HASH_LEN + 1];
        if (!digest_one(r->depends.items[i].name, dir, vars, digest) ||
            !streq(digest, r->depends.items[i].value))
            return false;
    }
    return true;
}
