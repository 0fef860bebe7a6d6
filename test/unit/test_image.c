/* The store: layers from archives, images on layers, names for images. */
#include "test_image_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "image/internal.h"
#include "image/tree.h"
#include "os/file.h"

static char *layer_of(struct fixture *f, struct tape *t)
{
    char *id = NULL;
    _cleanup_free_ char *dir = tmp_dir(f);
    assert_ok(tape_unpack(f, t, dir), f->err);
    assert_ok(image_layer_seal(f->store, dir, &id, &f->err), f->err);
    return id;
}

static void seal_makes_a_layer_of_a_folder(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    tape_folder(&t, "app/");
    tape_file(&t, "app/server.js", "hello");
    _cleanup_free_ char *id = layer_of(f, &t);
    _cleanup_free_ char *path = image_layer_path(f->store, id);
    _cleanup_free_ char *file = xasprintf("%s/app/server.js", path);
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_uid, FIXTURE_UID + 1000);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(st.st_mtime, TAPE_TIME);
    assert_folder_empty(f, "tmp");
}

static void the_same_content_is_the_same_layer(void **state)
{
    struct fixture *f = *state;
    struct tape a = {0}, b = {0};
    tape_file(&a, "one", "1");
    tape_file(&a, "two", "2");
    tape_file(&b, "two", "2");
    tape_file(&b, "one", "1");
    _cleanup_free_ char *first = layer_of(f, &a);
    _cleanup_free_ char *second = layer_of(f, &b);
    assert_string_equal(first, second);
    assert_folder_empty(f, "tmp");
}

static int append(void *ctx, const void *data, size_t n, struct err *err)
{
    (void)err;
    buf_add(ctx, data, n);
    return 0;
}

/* What a layer has besides content: each is a difference between layers. */
static void every_property_counts(void **state)
{
    struct fixture *f = *state;
    struct strv ids = {0};
    struct tape base = {0}, mode = {0}, time = {0}, owner = {0}, name = {0}, link = {0}, attr = {0},
                gone = {0};
    tape_file(&base, "f", "1");
    tape_put(&mode, &(struct tape_entry){.path = "f", .data = "1", .mode = 04755});
    tape_put(&time, &(struct tape_entry){.path = "f", .data = "1", .mtime = 7});
    tape_put(&owner, &(struct tape_entry){.path = "f", .data = "1", .uid = 7});
    tape_file(&name, "g", "1");
    tape_file(&link, "f", "1");
    tape_hardlink(&link, "g", "f");
    tape_put(&attr,
             &(struct tape_entry){.path = "f", .data = "1", .xattr = "user.mime", .value = "x"});
    tape_file(&gone, "f", "1");
    tape_file(&gone, ".wh.g", "");
    for (struct tape **t =
             (struct tape *[]){&base, &mode, &time, &owner, &name, &link, &attr, &gone, NULL};
         *t; t++) {
        _cleanup_free_ char *id = layer_of(f, *t);
        assert_false(strv_has(&ids, id));
        strv_add(&ids, id);
    }
    strv_release(&ids);
}

/* A tar made of a folder gives, unpacked, a folder with the same tar. */
static void tar_and_folder_are_each_others(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    char longer[300];
    memset(longer, 'x', 120);
    memcpy(longer + 120, "/\xc3\xa4 \n\xff.txt", 11);
    tape_folder(&t, "a/");
    tape_file(&t, "a/file", "content");
    tape_file(&t, longer, "name of bytes");
    tape_put(&t,
             &(struct tape_entry){.path = "a/setuid", .data = "#!", .mode = 06755, .uid = 65535});
    tape_put(&t, &(struct tape_entry){.path = "old", .data = "", .mtime = -5});
    tape_put(&t, &(struct tape_entry){.path = "far", .data = "", .mtime = 1LL << 34});
    tape_put(&t,
             &(struct tape_entry){.path = "x", .data = "", .xattr = "user.a b", .value = "v\n"});
    tape_symlink(&t, "a/link", longer);
    tape_hardlink(&t, "b", "a/file");
    tape_put(&t, &(struct tape_entry){.path = "pipe", .type = '6'});
    tape_file(&t, ".wh.gone", "");
    tape_file(&t, "a/.wh..wh..opq", "");
    _cleanup_free_ char *dir = tmp_dir(f), *again = tmp_dir(f);
    assert_ok(tape_unpack(f, &t, dir), f->err);
    _cleanup_(buf_release) struct buf first = BUF_INIT, second = BUF_INIT;
    struct tree_stats stats;
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_ok(tree_tar(fd, FIXTURE_UID, &(struct tar_sink){append, &first}, &stats, &f->err),
              f->err);
    close(fd);
    assert_int_equal(stats.tar_size, first.len);
    assert_ok(bytes_unpack(f, first.ptr, first.len, again), f->err);
    fd = open(again, O_RDONLY | O_DIRECTORY);
    assert_ok(tree_tar(fd, FIXTURE_UID, &(struct tar_sink){append, &second}, &stats, &f->err),
              f->err);
    close(fd);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.ptr, second.ptr, first.len);
}

/* By the bytes of their names, each folder before what is in it, whatever order the disk gives. */
static void entries_stand_in_order(void **state)
{
    static const char *const order[] = {"-",   "B",  "a/", "a/1", "a/10", "a/2",     "a-b",
                                        "a.b", "ab", "z0", "z1",  "z2",   "z3",      "z4",
                                        "z5",  "z6", "z7", "z8",  "z9",   "\xc3\xa4"};
    struct fixture *f = *state;
    struct tape t = {0};
    struct tree_stats stats;
    _cleanup_free_ char *dir = tmp_dir(f);
    _cleanup_(buf_release) struct buf tar = BUF_INIT;
    for (size_t i = ARRAY_LEN(order); i-- > 0;)
        tape_put(&t,
                 &(struct tape_entry){.path = order[i],
                                      .type = strchr(order[i], '/') && !order[i][2] ? '5' : '0'});
    assert_ok(tape_unpack(f, &t, dir), f->err);
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_ok(tree_tar(fd, FIXTURE_UID, &(struct tar_sink){append, &tar}, &stats, &f->err), f->err);
    assert_int_equal(tar.len, (ARRAY_LEN(order) + 2) * 512);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_string_equal(tar.ptr + i * 512, order[i]);
}

static void what_an_image_cannot_hold_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"device", ".wh.file", "of-root"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *id;
        _cleanup_free_ char *dir = tmp_dir(f);
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, names[i]);
        assert_int_equal(mknod(path, i == 0 ? S_IFCHR | 0600 : S_IFREG | 0600, makedev(1, 3)), 0);
        if (i < 2)
            assert_int_equal(chown(path, FIXTURE_UID, FIXTURE_UID), 0);
        assert_err(image_layer_seal(f->store, dir, &id, &f->err), ERR_INVALID);
        assert_contains(f->err.msg, names[i]);
    }
}

static void an_image_is_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    tape_file(&t, "f", "1");
    char *digest;
    _cleanup_(image_release) struct image got = {0};
    struct image i = {.user = (char *)"1000:1000",
                      .workdir = (char *)"/app",
                      .stop_signal = (char *)"SIGQUIT",
                      .healthcheck = (char *)"{\"Test\":[\"CMD\",\"true\"]}"};
    strv_take(&i.diff_ids, layer_of(f, &t));
    strv_add(&i.env, "PATH=/bin");
    strv_add(&i.env, "EMPTY=");
    strv_add(&i.cmd, "node");
    strv_add(&i.cmd, "server.js");
    strv_add(&i.entrypoint, "/init");
    strv_add(&i.ports, "8080/tcp");
    strv_add(&i.labels, "a=b=c");
    assert_ok(image_write(f->store, &i, &digest, &f->err), f->err);
    assert_ok(image_get(f->store, digest, &got, &f->err), f->err);
    assert_string_equal(got.digest, digest);
    assert_string_equal(got.diff_ids.items[0], i.diff_ids.items[0]);
    assert_string_equal(got.env.items[1], "EMPTY=");
    assert_string_equal(got.cmd.items[1], "server.js");
    assert_string_equal(got.entrypoint.items[0], "/init");
    assert_string_equal(got.ports.items[0], "8080/tcp");
    assert_string_equal(got.labels.items[0], "a=b=c");
    assert_string_equal(got.user, "1000:1000");
    assert_string_equal(got.workdir, "/app");
    assert_string_equal(got.stop_signal, "SIGQUIT");
    assert_string_equal(got.healthcheck, i.healthcheck);
    for (struct strv **v = (struct strv *[]){&i.diff_ids, &i.env, &i.cmd, &i.entrypoint, &i.ports,
                                             &i.labels, NULL};
         *v; v++)
        strv_release(*v);
    free(digest);
}

static void an_image_needs_its_layers(void **state)
{
    struct fixture *f = *state;
    struct image i = {0};
    char *digest;
    strv_addf(&i.diff_ids, "sha256:%064d", 1);
    assert_err(image_write(f->store, &i, &digest, &f->err), ERR_NOT_FOUND);
    strv_release(&i.diff_ids);
    strv_add(&i.diff_ids, "../../etc");
    assert_err(image_write(f->store, &i, &digest, &f->err), ERR_INVALID);
    strv_release(&i.diff_ids);
}

static void refs_name_images(void **state)
{
    struct fixture *f = *state;
    struct image none = {0};
    _cleanup_(image_release) struct image got = {0};
    _cleanup_free_ char *digest = NULL;
    assert_ok(image_write(f->store, &none, &digest, &f->err), f->err);
    assert_ok(image_ref_set(f->store, "stack-run", digest, &f->err), f->err);
    assert_ok(image_get(f->store, "stack-run", &got, &f->err), f->err);
    assert_string_equal(got.digest, digest);
    assert_ok(image_ref_set(f->store, "stack-run", NULL, &f->err), f->err);
    assert_ok(image_ref_set(f->store, "stack-run", NULL, &f->err), f->err);
    assert_err(image_get(f->store, "stack-run", &none, &f->err), ERR_NOT_FOUND);
    static const char *const bad[] = {"", ".", "..", "a/b", ".hidden", "a b", "~"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_err(image_ref_set(f->store, bad[i], digest, &f->err), ERR_INVALID);
        assert_err(image_get(f->store, bad[i], &none, &f->err), ERR_NOT_FOUND);
    }
    _cleanup_free_ char *other = xasprintf("sha256:%064d", 2);
    assert_err(image_ref_set(f->store, "x", other, &f->err), ERR_NOT_FOUND);
    assert_folder_empty(f, "tmp");
}

static void a_damaged_blob_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct image i = {0};
    _cleanup_free_ char *digest = NULL;
    assert_ok(image_write(f->store, &i, &digest, &f->err), f->err);
    _cleanup_free_ char *path = xasprintf("%s/blobs/sha256/%s", f->dir, digest + 7);
    assert_ok(file_write_atomic(path, STR("{}"), 0644, &f->err), f->err);
    assert_err(image_get(f->store, digest, &i, &f->err), ERR_IO);
}

static void owners_are_shifted_or_set(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uid_t set;
        int64_t uid;
        uid_t on_disk;
    } cases[] = {{0, 33, 33},    {0, 65535, 65535}, {0, 65536, 65534},  {0, 0xffffffff, 65534},
                 {0, -1, 65534}, {2000, 33, 2000},  {2000, 65536, 2000}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tape t = {0};
        struct stat st;
        size_t len;
        struct unpack_limits limits = {.owner = cases[i].set};
        _cleanup_free_ char *dir = tmp_dir(f);
        tape_put(&t, &(struct tape_entry){.path = "a/f", .uid = cases[i].uid, .mode = 06755});
        _cleanup_free_ char *bytes = tape_bytes(&t, &len);
        _cleanup_close_ int fd = bytes_fd(bytes, len);
        assert_ok(image_unpack(f->store, fd, dir, false, NULL, &limits, &f->err), f->err);
        _cleanup_free_ char *file = xasprintf("%s/a/f", dir), *folder = xasprintf("%s/a", dir);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_uid, FIXTURE_UID + cases[i].on_disk);
        /* Nobody's programs run as who starts them. */
        bool foreign = cases[i].uid < 0 || cases[i].uid > 65535;
        assert_int_equal(st.st_mode & 07777, foreign ? 0755 : 06755);
        assert_int_equal(st.st_gid, FIXTURE_UID + cases[i].on_disk);
        assert_int_equal(stat(folder, &st), 0);
        assert_int_equal(st.st_uid, FIXTURE_UID + cases[i].set);
    }
}

static void clean_empties_tmp_only(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    tape_file(&t, "f", "1");
    _cleanup_free_ char *id = layer_of(f, &t);
    _cleanup_free_ char *dir = tmp_dir(f);
    _cleanup_free_ char *deep = xasprintf("%s/a/b/c", dir);
    assert_ok(dir_make(deep, 0755, &f->err), f->err);
    assert_ok(image_store_clean(f->store, &f->err), f->err);
    assert_folder_empty(f, "tmp");
    _cleanup_free_ char *layer = image_layer_path(f->store, id);
    assert_true(path_exists(layer));
}

/* The start of a process, as the 22nd field of its stat has it. */
static char *started(pid_t pid)
{
    struct err err;
    _cleanup_free_ char *path = xasprintf("/proc/%d/stat", pid);
    _cleanup_(buf_release) struct buf stat = BUF_CAP(4096);
    assert_ok(file_read(path, &stat, &err), err);
    char *at = strrchr(stat.ptr, ')');
    for (int field = 2; field < 22; field++)
        at = strchr(at, ' ') + 1;
    return xasprintf("%.*s", (int)strspn(at, "0123456789"), at);
}

static void clean_leaves_what_a_living_process_makes(void **state)
{
    struct fixture *f = *state;
    pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    waitpid(dead, NULL, 0);
    _cleanup_free_ char *parent = started(getppid()), *own = started(getpid());
    const struct {
        char *name;
        bool stays;
    } cases[] = {
        {xasprintf("%d.%s-abc", getppid(), parent), true},
        {xasprintf("%d.%s-abc", getpid(), own), false},
        {xasprintf("%d.%s9-abc", getppid(), parent), false},
        {xasprintf("%d.%s", getppid(), parent), false},
        {xasprintf("%d.1-abc", getppid()), false},
        {xasprintf("%d.%s-abc", dead, parent), false},
        {xasprintf("0.%s-abc", parent), false},
        {xasprintf("-1.%s-abc", parent), false},
        {xstrdup("abc"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *path = xasprintf("%s/tmp/%s/f", f->dir, cases[i].name);
        assert_ok(dir_make(path, 0755, &f->err), f->err);
    }
    assert_ok(image_store_clean(f->store, &f->err), f->err);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *path = xasprintf("%s/tmp/%s", f->dir, cases[i].name);
        if (path_exists(path) != cases[i].stays)
            fail_msg("%s: %s", cases[i].name, cases[i].stays ? "is gone" : "is still there");
        free(cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(seal_makes_a_layer_of_a_folder),
        fixture_test(the_same_content_is_the_same_layer),
        fixture_test(every_property_counts),
        fixture_test(tar_and_folder_are_each_others),
        fixture_test(entries_stand_in_order),
        fixture_test(what_an_image_cannot_hold_is_refused),
        fixture_test(an_image_is_what_was_written),
        fixture_test(an_image_needs_its_layers),
        fixture_test(refs_name_images),
        fixture_test(a_damaged_blob_is_noticed),
        fixture_test(owners_are_shifted_or_set),
        fixture_test(clean_empties_tmp_only),
        fixture_test(clean_leaves_what_a_living_process_makes),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
