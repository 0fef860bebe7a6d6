#include "builder/registry.h"

#include <fcntl.h>
#include <jansson.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "builder/fetch.h"
#include "builder/semver.h"
#include "os/spawn.h"

enum { DOCUMENT_MAX = 32 << 20 };

void registry_package_release(struct registry_package *p)
{
    free(p->version);
    free(p->url);
    free(p->integrity);
    *p = (struct registry_package){0};
}

static bool better(struct semver a, struct semver b)
{
    if ((a.major % 2 == 0) != (b.major % 2 == 0))
        return a.major % 2 == 0;
    return semver_compare(a, b) > 0;
}

static int take(const char *version, const json_t *entry, struct registry_package *ret,
                struct err *err)
{
    const json_t *dist = json_object_get(entry, "dist");
    const char *url = json_string_value(json_object_get(dist, "tarball"));
    const char *integrity = json_string_value(json_object_get(dist, "integrity"));
    if (!url || !integrity)
        return err_set(err, ERR_UNAVAILABLE, "the registry's entry for version %s is not complete",
                       version);
    *ret = (struct registry_package){xstrdup(version), xstrdup(url), xstrdup(integrity)};
    return 0;
}

static int choose(json_t *versions, const char *range, struct registry_package *ret,
                  struct err *err)
{
    const char *version, *best_name = NULL;
    json_t *entry, *best_entry = NULL;
    struct semver best = {0};
    json_object_foreach(versions, version, entry)
    {
        struct semver v;
        bool matches = false;
        if (semver_parse(str_of(version), &v, NULL) < 0)
            continue;
        int r = semver_in_range(v, str_of(range), &matches, err);
        if (r < 0)
            return r;
        if (matches && (!best_name || better(v, best))) {
            best = v;
            best_name = version;
            best_entry = entry;
        }
    }
    if (!best_name)
        return err_set(err, ERR_NOT_FOUND, "there is no version in the range '%s'", range);
    return take(best_name, best_entry, ret, err);
}

int registry_choose(struct str document, const char *range, struct registry_package *ret,
                    struct err *err)
{
    json_error_t e;
    json_t *root = json_loadb(document.ptr, document.len, 0, &e);
    if (!root)
        return err_set(err, ERR_UNAVAILABLE, "the registry's answer can't be understood: %s",
                       e.text);
    int r = choose(json_object_get(root, "versions"), range, ret, err);
    json_decref(root);
    return r;
}

static int unreachable(struct err *err)
{
    err_wrap(err, "asking the npm registry");
    err_hint(err, "Is registry.npmjs.org reachable from this machine?");
    if (err)
        err->code = ERR_UNAVAILABLE;
    return -ERR_UNAVAILABLE;
}

static int download(const struct config *c, const char *const *words, struct buf *ret,
                    struct err *err)
{
    _cleanup_(strv_release) struct strv argv = {0};
    fetch_curl(c, "=https", &argv);
    for (size_t i = 0; words[i]; i++)
        strv_add(&argv, words[i]);
    return spawn_run((const char *const *)strv_argv(&argv), (struct str){0}, ret, err);
}

int registry_find(const struct config *c, const char *package, const char *range,
                  struct registry_package *ret, struct err *err)
{
    _cleanup_free_ char *url = xasprintf("https://registry.npmjs.org/%s", package);
    _cleanup_(buf_release) struct buf document = BUF_CAP(DOCUMENT_MAX);
    const char *const words[] = {
        "--max-time", "60", "-H", "Accept: application/vnd.npm.install-v1+json", "--", url, NULL};
    if (download(c, words, &document, err) < 0)
        return unreachable(err);
    return registry_choose(buf_str(&document), range, ret, err);
}

static int hash_file(const char *path, char ret[BASE64_ENCODE_RAW_LENGTH(SHA512_DIGEST_SIZE) + 1],
                     struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", path);
    struct sha512_ctx h;
    uint8_t chunk[65536], digest[SHA512_DIGEST_SIZE];
    ssize_t n;
    sha512_init(&h);
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        sha512_update(&h, (size_t)n, chunk);
    if (n < 0)
        return err_errno(err, "reading %s", path);
    sha512_digest(&h, sizeof(digest), digest);
    base64_encode_raw(ret, sizeof(digest), digest);
    ret[BASE64_ENCODE_RAW_LENGTH(SHA512_DIGEST_SIZE)] = '\0';
    return 0;
}

int registry_download(const struct config *c, const struct registry_package *p, const char *to,
                      struct err *err)
{
    const char *const words[] = {"--max-time", "600", "-o", to, "--", p->url, NULL};
    char hash[BASE64_ENCODE_RAW_LENGTH(SHA512_DIGEST_SIZE) + 1];
    int r = fetch_target(c, to, err);
    if (r < 0)
        return r;
    if (download(c, words, NULL, err) < 0)
        return unreachable(err);
    r = hash_file(to, hash, err);
    if (r < 0)
        return r;
    if (!str_starts(str_of(p->integrity), STR("sha512-")) || !streq(p->integrity + 7, hash))
        return err_set(err, ERR_UNAVAILABLE,
                       "%s is not what the registry promised: its digest differs", p->url);
    return 0;
}
