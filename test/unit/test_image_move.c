/* Images on their way in and out, with the real skopeo and umoci at the other end. */
#include "test_image_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/digest.h"
#include "os/file.h"

static void export_is_a_layout_that_skopeo_reads(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out");
    _cleanup_free_ char *source = xasprintf("oci:%s:v1", dir);
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    run_program((const char *const[]){"skopeo", "inspect", source, NULL}, &out);
    json_t *o = json_loads(out.ptr, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "Digest")), digest);
    assert_int_equal(json_array_size(json_object_get(o, "Layers")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "Env"), 0)), "A=b");
    json_decref(o);
}

static void export_unpacks_with_umoci(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"),
                        *bundle = below(f, "bundle");
    _cleanup_free_ char *image = xasprintf("%s:v1", dir), *rootfs = xasprintf("%s/rootfs", bundle);
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    RUN("umoci", "unpack", "--image", image, bundle);
    assert_content(rootfs, "app/gone", NULL);
    assert_content(rootfs, "app/kept", KEPT);
    assert_content(rootfs, "app/link", KEPT);
    assert_content(rootfs, "app/sub/hidden", NULL);
    assert_content(rootfs, "app/sub/new", "5");
    assert_content(rootfs, "app/same", "5");
    struct stat st;
    _cleanup_free_ char *setuid = xasprintf("%s/app/setuid", rootfs);
    assert_int_equal(stat(setuid, &st), 0);
    assert_int_equal(st.st_uid, 33);
    assert_int_equal(st.st_mode & 07777, 04755);
}

static void export_adds_to_a_layout(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"), *index = NULL;
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    assert_ok(image_export(f->store, digest, dir, "v2", &f->err), f->err);
    assert_ok(image_export(f->store, digest, dir, "v2", &f->err), f->err);
    index = xasprintf("%s/index.json", dir);
    json_t *o = json_load_file(index, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "manifests")), 2);
    json_decref(o);
}

/* The image comes back as it went, from whatever it was packed into. */
static void what_is_exported_can_be_imported(void **state)
{
    static const struct {
        const char *to, *from;
        bool same_manifest; /* Docker's format has another configuration */
        const char *compress;
    } cases[] = {
        {NULL, "oci:%s/out:v1", true, NULL},
        {NULL, "oci:%s/out", true, NULL},
        {"oci:%s/gz:x", "oci:%s/gz:x", true, "gzip"},
        {"oci:%s/zst:x", "oci:%s/zst", true, "zstd"},
        {"oci-archive:%s/a.tar:x", "oci-archive:%s/a.tar:x", true, NULL},
        {"oci-archive:%s/b.tar", "oci-archive:%s/b.tar", true, NULL},
        {"docker-archive:%s/d.tar:app:x", "docker-archive:%s/d.tar", false, NULL},
        {"docker-archive:%s/e.tar:app:x", "docker-archive:%s/e.tar:app:x", false, NULL},
    };
    struct fixture *f = *state;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"),
                        *source = xasprintf("oci:%s:v1", dir), *inner = below(f, "other");
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf to = BUF_INIT, from = BUF_INIT;
        _cleanup_free_ char *again = NULL;
        _cleanup_(image_release) struct image got = {0};
        struct image_store *other;
        print_message("          %s\n", cases[i].from);
        if (cases[i].to) {
            buf_addf(&to, cases[i].to, f->dir);
            if (cases[i].compress)
                RUN("skopeo", "--insecure-policy", "copy", "-q", "--dest-compress-format",
                    cases[i].compress, "--dest-compress", source, to.ptr);
            else
                RUN("skopeo", "--insecure-policy", "copy", "-q", source, to.ptr);
        }
        buf_addf(&from, cases[i].from, f->dir);
        assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
        assert_ok(image_import(other, from.ptr, NULL, &again, &f->err), f->err);
        assert_ok(image_get(other, again, &got, &f->err), f->err);
        if (cases[i].same_manifest)
            assert_string_equal(again, digest);
        assert_string_equal(got.user, "1000");
        assert_int_equal(got.diff_ids.n, 2);
        _cleanup_free_ char *top = image_layer_path(other, got.diff_ids.items[1]);
        _cleanup_free_ char *gone = xasprintf("%s/app/gone", top);
        struct stat st;
        assert_int_equal(lstat(gone, &st), 0);
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
        assert_content(top, "app/sub/new", "5");
        image_store_close(other);
        assert_int_equal(folder_count(f, "other/tmp"), 0);
        /* And out again, now from recipes. */
        assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
        _cleanup_free_ char *out = below(f, "again");
        assert_ok(image_export(other, again, out, "v1", &f->err), f->err);
        assert_ok(dir_remove(out, &f->err), f->err);
        image_store_close(other);
        assert_ok(dir_remove(inner, &f->err), f->err);
    }
}

/* An OCI layout written by hand, so that it can be wrong. */
struct layout {
    char *dir;
    struct strv layers; /* descriptors as JSON */
    struct strv diff_ids;
};

static char *put_blob(struct layout *l, const void *data, size_t n, char digest[DIGEST_LEN + 1])
{
    struct err err = {0};
    digest_of((struct str){data, n}, digest);
    _cleanup_free_ char *dir = xasprintf("%s/blobs/sha256", l->dir);
    char *path = xasprintf("%s/%s", dir, digest_hex(digest));
    assert_ok(dir_make(dir, 0755, &err), err);
    assert_ok(file_replace(path, (struct str){data, n}, 0644, &err), err);
    return path;
}

static void put_text(struct layout *l, const char *name, const char *text)
{
    struct err err = {0};
    _cleanup_free_ char *path = xasprintf("%s/%s", l->dir, name);
    assert_ok(file_replace(path, str_of(text), 0644, &err), err);
}

static void add_layer(struct layout *l, struct tape *t)
{
    char digest[DIGEST_LEN + 1];
    size_t n;
    _cleanup_free_ char *bytes = tape_bytes(t, &n);
    free(put_blob(l, bytes, n, digest));
    strv_add(&l->diff_ids, digest);
    strv_addf(
        &l->layers,
        "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}",
        digest, n);
}

static void join(struct buf *out, const struct strv *v, const char *quote)
{
    for (size_t i = 0; i < v->n; i++)
        buf_addf(out, "%s%s%s%s", i ? "," : "", quote, v->items[i], quote);
}

/* Writes configuration and manifest; returns the manifest's descriptor. */
static char *add_manifest(struct layout *l, const char *arch)
{
    char config[DIGEST_LEN + 1], manifest[DIGEST_LEN + 1];
    _cleanup_(buf_release) struct buf c = BUF_INIT, m = BUF_INIT;
    buf_addf(
        &c,
        "{\"architecture\":\"%s\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
        arch);
    join(&c, &l->diff_ids, "\"");
    buf_adds(&c, "]}}");
    free(put_blob(l, c.ptr, c.len, config));
    buf_addf(&m,
             "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
             "vnd.oci.image.config.v1+json\","
             "\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
             config, c.len);
    join(&m, &l->layers, "");
    buf_adds(&m, "]}");
    free(put_blob(l, m.ptr, m.len, manifest));
    return xasprintf("{\"mediaType\":\"application/"
                     "vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
                     "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}",
                     manifest, m.len, arch);
}

static void put_index(struct layout *l, const char *descriptors)
{
    _cleanup_free_ char *index = xasprintf("{\"schemaVersion\":2,\"manifests\":[%s]}", descriptors);
    put_text(l, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    put_text(l, "index.json", index);
}

static void layout_init(struct layout *l, struct fixture *f, const char *name)
{
    *l = (struct layout){.dir = below(f, name)};
    assert_ok(dir_make(l->dir, 0755, &f->err), f->err);
}

static void layout_release(struct layout *l)
{
    free(l->dir);
    strv_release(&l->layers);
    strv_release(&l->diff_ids);
}

static int import(struct fixture *f, struct layout *l, char **ret)
{
    _cleanup_free_ char *source = xasprintf("oci:%s", l->dir);
    f->err = (struct err){0};
    return image_import(f->store, source, NULL, ret, &f->err);
}

static void this_machines_image_is_taken(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    struct tape a = {0}, b = {0};
    layout_init(&l, f, "multi");
    tape_file(&a, "f", "other");
    add_layer(&l, &a);
    _cleanup_free_ char *other = add_manifest(&l, "z80");
    strv_release(&l.layers);
    strv_release(&l.diff_ids);
    tape_file(&b, "f", "ours");
    add_layer(&l, &b);
    _cleanup_free_ char *ours = add_manifest(&l, "amd64");
    _cleanup_free_ char *index =
        xasprintf("{\"schemaVersion\":2,\"manifests\":[%s,%s]}", other, ours);
    char digest[DIGEST_LEN + 1];
    free(put_blob(&l, index, strlen(index), digest));
    _cleanup_free_ char *nested =
        xasprintf("{\"mediaType\":\"application/"
                  "vnd.oci.image.index.v1+json\",\"digest\":\"%s\",\"size\":%zu}",
                  digest, strlen(index));
    put_index(&l, nested);
    _cleanup_free_ char *id = NULL;
    _cleanup_(image_release) struct image got = {0};
    assert_ok(import(f, &l, &id), f->err);
    assert_ok(image_get(f->store, id, &got, &f->err), f->err);
    _cleanup_free_ char *path = image_layer_path(f->store, got.diff_ids.items[0]);
    assert_content(path, "f", "ours");
    put_index(&l, other);
    assert_err(import(f, &l, &id), ERR_UNPROCESSABLE);
    assert_contains(f->err.msg, "z80");
    layout_release(&l);
}

static void flip(const char *path, off_t at)
{
    _cleanup_close_ int fd = open(path, O_RDWR);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

/* The blobs of documents are checked as those of layers are. */
static void changed_documents_are_refused(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    struct tape t = {0};
    char *id = NULL;
    layout_init(&l, f, "changed");
    tape_file(&t, "f", "content");
    add_layer(&l, &t);
    _cleanup_free_ char *m = add_manifest(&l, "amd64");
    put_index(&l, m);
    _cleanup_free_ char *blobs = xasprintf("%s/blobs/sha256", l.dir);
    DIR *dir = opendir(blobs);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        _cleanup_free_ char *blob = xasprintf("%s/%s", blobs, e->d_name);
        assert_int_equal(stat(blob, &st), 0);
        if (!S_ISREG(st.st_mode) || st.st_size > 1000)
            continue;
        /* The last letter of amd64 or of a media type: still JSON. */
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        assert_ok(file_read(blob, &text, &f->err), f->err);
        off_t at = strstr(text.ptr, "tar\"") ? strstr(text.ptr, "tar\"") - text.ptr
                                             : strstr(text.ptr, "layers\"") - text.ptr;
        flip(blob, at);
        assert_err(import(f, &l, &id), ERR_INVALID);
        assert_contains(f->err.msg, "wrong digest");
        flip(blob, at);
    }
    closedir(dir);
    assert_ok(import(f, &l, &id), f->err);
    free(id);
    layout_release(&l);
}

/* A layer that somebody wrote into is not passed on as what it was. */
static void changed_layers_are_not_exported(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *digest = make_image(f), *out = below(f, "out"), *again = NULL,
                        *inner = below(f, "other"), *source = xasprintf("oci:%s:x", out),
                        *more = below(f, "more");
    struct image_store *other;
    assert_ok(image_export(f->store, digest, out, "x", &f->err), f->err);
    assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
    assert_ok(image_import(other, source, NULL, &again, &f->err), f->err);
    struct image_store *stores[] = {f->store, other};
    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        _cleanup_(image_release) struct image got = {0};
        assert_ok(image_get(stores[i], digest, &got, &f->err), f->err);
        _cleanup_free_ char *layer = image_layer_path(stores[i], got.diff_ids.items[0]),
                            *file = xasprintf("%s/app/kept", layer);
        flip(file, 0);
        assert_err(image_export(stores[i], digest, more, "x", &f->err), ERR_IO);
        flip(file, 0);
        assert_int_equal(unlink(file), 0);
        assert_err(image_export(stores[i], digest, more, "x", &f->err), ERR_IO);
    }
    image_store_close(other);
}

static void a_wrong_digest_is_refused(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    struct tape t = {0};
    char *id = NULL;
    layout_init(&l, f, "wrong");
    tape_file(&t, "f", "content");
    add_layer(&l, &t);
    _cleanup_free_ char *m = add_manifest(&l, "amd64");
    put_index(&l, m);
    _cleanup_free_ char *blob = xasprintf("%s/blobs/sha256/%s", l.dir, l.diff_ids.items[0] + 7);
    flip(blob, 600);
    assert_err(import(f, &l, &id), ERR_INVALID);
    assert_contains(f->err.msg, "wrong digest");
    assert_contains(f->err.msg, "layer 1 of 1");
    assert_int_equal(truncate(blob, 1000), 0);
    assert_err(import(f, &l, &id), ERR_INVALID);
    assert_int_equal(truncate(blob, 0), 0);
    assert_err(import(f, &l, &id), ERR_INVALID);
    assert_int_equal(unlink(blob), 0);
    assert_err(import(f, &l, &id), ERR_NOT_FOUND);
    assert_folder_empty(f, "tmp");
    assert_folder_empty(f, "layers");
    assert_folder_empty(f, "blobs/sha256");
    layout_release(&l);
}

static void bundles_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    char *id;
    layout_init(&l, f, "none");
    assert_err(import(f, &l, &id), ERR_NOT_FOUND);
    put_text(&l, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"manifests\":7}",
        "{\"manifests\":[7]}",
        "{\"manifests\":[{}]}",
        "{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}]}",
        "{\"manifests\":[{\"mediaType\":\"application/"
        "vnd.oci.image.manifest.v1+json\",\"digest\":\"../../../etc/passwd\"}]}",
        "{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":"
        "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put_text(&l, "index.json", bad[i]);
        assert_true(import(f, &l, &id) < 0);
        assert_true(f->err.code == ERR_INVALID || f->err.code == ERR_NOT_FOUND);
    }
    static const char *const sources[] = {"",
                                          "oci",
                                          "oci:",
                                          "docker:x",
                                          "file:/etc/passwd",
                                          "oci:/nonexistent",
                                          "docker-archive:/dev/null",
                                          "oci-archive:/etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        assert_true(image_import(f->store, sources[i], NULL, &id, &f->err) < 0);
    layout_release(&l);
    assert_folder_empty(f, "tmp");
}

/* Entries that replace each other can't be told from the folder: the recipe holds them all. */
static void a_tar_that_repeats_itself_survives(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    struct tape t = {0};
    char big[2000];
    layout_init(&l, f, "repeats");
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    tape_file(&t, "f", big);
    tape_file(&t, "dir/one", big);
    tape_symlink(&t, "dir2", "dir");
    tape_file(&t, "dir2/two", big);
    big[0] = 'b';
    tape_file(&t, "f", big);
    add_layer(&l, &t);
    _cleanup_free_ char *m = add_manifest(&l, "amd64"), *id = NULL, *out = below(f, "out");
    put_index(&l, m);
    assert_ok(import(f, &l, &id), f->err);
    _cleanup_free_ char *path = image_layer_path(f->store, l.diff_ids.items[0]);
    assert_content(path, "f", big);
    assert_ok(image_export(f->store, id, out, "x", &f->err), f->err);
    layout_release(&l);
}

static void a_layer_that_is_there_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct layout l;
    struct tape t = {0};
    layout_init(&l, f, "twice");
    tape_file(&t, "f", "1");
    add_layer(&l, &t);
    strv_add(&l.layers, l.layers.items[0]);
    strv_add(&l.diff_ids, l.diff_ids.items[0]);
    _cleanup_free_ char *m = add_manifest(&l, "amd64"), *id = NULL, *again = NULL;
    put_index(&l, m);
    assert_ok(import(f, &l, &id), f->err);
    _cleanup_free_ char *blob = xasprintf("%s/blobs/sha256/%s", l.dir, l.diff_ids.items[0] + 7);
    assert_int_equal(unlink(blob), 0);
    assert_ok(import(f, &l, &again), f->err);
    assert_string_equal(id, again);
    layout_release(&l);
}

static void docker_save_archives_come_in(void **state)
{
    struct fixture *f = *state;
    struct tape outer = {0}, layer = {0};
    char diff_id[DIGEST_LEN + 1];
    size_t n;
    tape_file(&layer, "f", "1");
    _cleanup_free_ char *bytes = tape_bytes(&layer, &n), *id = NULL;
    digest_of((struct str){bytes, n}, diff_id);
    _cleanup_free_ char *config = xasprintf(
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":null,\"Env\":[\"A=1\"]},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}",
        diff_id, diff_id);
    tape_put(&outer, &(struct tape_entry){.path = "aa/layer.tar", .data = bytes, .data_len = n});
    tape_symlink(&outer, "bb/layer.tar", "../aa/layer.tar");
    tape_file(&outer, "config.json", config);
    tape_file(&outer, "manifest.json",
              "[{\"Config\":\"config.json\",\"RepoTags\":[\"docker.io/library/app:latest\"],"
              "\"Layers\":[\"aa/layer.tar\",\"bb/layer.tar\"]}]");
    _cleanup_free_ char *archive = tape_bytes(&outer, &n), *path = below(f, "save.tar"),
                        *gz = below(f, "save.tar.gz");
    assert_ok(file_replace(path, (struct str){archive, n}, 0644, &f->err), f->err);
    RUN("gzip", "-k", path);
    for (const char *const *s = (const char *const[]){"docker-archive:%s", "docker-archive:%s:app",
                                                      "docker-archive:%s:app:latest", NULL};
         *s; s++) {
        _cleanup_(buf_release) struct buf source = BUF_INIT;
        buf_addf(&source, *s, s[1] ? gz : path);
        assert_ok(image_import(f->store, source.ptr, NULL, &id, &f->err), f->err);
        free(TAKE_PTR(id));
    }
    _cleanup_free_ char *packed = xasprintf("docker-archive:%s", gz);
    const struct unpack_limits eighth = {.bytes = n / 8}; /* four of them are less than it has */
    assert_err(image_import(f->store, packed, &eighth, &id, &f->err), ERR_TOO_LARGE);
    _cleanup_free_ char *wrong = xasprintf("docker-archive:%s:other", path);
    assert_err(image_import(f->store, wrong, NULL, &id, &f->err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(export_is_a_layout_that_skopeo_reads),
        fixture_test(export_unpacks_with_umoci),
        fixture_test(export_adds_to_a_layout),
        fixture_test(what_is_exported_can_be_imported),
        fixture_test(this_machines_image_is_taken),
        fixture_test(a_wrong_digest_is_refused),
        fixture_test(changed_documents_are_refused),
        fixture_test(changed_layers_are_not_exported),
        fixture_test(bundles_that_are_none_are_refused),
        fixture_test(a_tar_that_repeats_itself_survives),
        fixture_test(a_layer_that_is_there_is_not_read),
        fixture_test(docker_save_archives_come_in),
    };
    return cmocka_run_group_tests_name("image_move", tests, NULL, NULL);
}
