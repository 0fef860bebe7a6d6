/* Archives made to do harm: each is refused by name, or tamed; nothing outside the folder changes.
 */
#include "test_image_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/digest.h"
#include "os/file.h"

/* Entries that are refused, each alone behind what sets it up. */
static void entries_that_are_refused(void **state)
{
    static const struct {
        struct tape_entry setup[2], bad;
        const char *why;
    } cases[] = {
        {.bad = {.path = "../evil"}, .why = "'..'"},
        {.bad = {.path = "a/../../evil"}, .why = "'..'"},
        {.bad = {.path = "/../evil"}, .why = "'..'"},
        {.bad = {.path = "..", .type = '5'}, .why = "'..'"},
        {.bad = {.path = "null", .type = '3'}, .why = "device nodes"},
        {.bad = {.path = "disk", .type = '4'}, .why = "device nodes"},
        {.bad = {.path = ".", .data = "x"}, .why = "root is a folder"},
        {.bad = {.path = "/", .type = '2', .link = "/etc"}, .why = "root is a folder"},
        {.bad = {.path = "./", .type = '1', .link = "x"}, .why = "root is a folder"},
        {.bad = {.path = "link", .type = '1', .link = "../../../etc/passwd"}, .why = "'..'"},
        {.bad = {.path = "link", .type = '1', .link = "/etc/passwd"}, .why = "etc/passwd"},
        {.bad = {.path = "link", .type = '1', .link = "missing"}, .why = "missing"},
        {.bad = {.path = "link", .type = '1', .link = "."}, .why = "no file"},
        {.bad = {.path = "link", .type = '1', .link = "link"}, .why = "itself"},
        {.setup = {{.path = "d", .type = '5'}},
         .bad = {.path = "link", .type = '1', .link = "d"},
         .why = "no file"},
        {.setup = {{.path = "out", .type = '2', .link = "/etc"}},
         .bad = {.path = "link", .type = '1', .link = "out/passwd"},
         .why = "out/passwd"},
        {.setup = {{.path = "out", .type = '2', .link = "/nowhere"}},
         .bad = {.path = "out/file"},
         .why = "in the way"},
        {.setup = {{.path = "loop", .type = '2', .link = "loop"}},
         .bad = {.path = "loop/file"},
         .why = "folder"},
        {.setup = {{.path = "file", .data = "x"}}, .bad = {.path = "file/below"}, .why = "folder"},
        {.bad = {.path = "link", .type = '2', .link = ""}, .why = "nowhere"},
        {.bad = {.path = ".wh."}, .why = "whiteout"},
        {.bad = {.path = "a/.wh.."}, .why = "whiteout"},
        {.bad = {.path = "a/.wh..."}, .why = "whiteout"},
        {.bad = {.path = ".wh..wh..opq"}, .why = "whole root"},
        {.bad = {.path = ".wh..wh..wh..opq"}, .why = "whiteout"},
        {.bad = {.path = ".wh..wh.plnk/x"}, .why = "whiteout"},
        {.bad = {.path = "a/.wh.b/c"}, .why = "whiteout"},
        {.bad = {.path = ".wh.a", .type = '5'}, .why = "whiteout"},
        {.bad = {.path = ".wh.a", .type = '2', .link = "x"}, .why = "whiteout"},
        {.setup = {{.path = "f", .data = "x"}},
         .bad = {.path = ".wh.a", .type = '1', .link = "f"},
         .why = "whiteout"},
        {.setup = {{.path = ".wh.a"}},
         .bad = {.path = "b", .type = '1', .link = "a"},
         .why = "no file"},
        {.setup = {{.path = "l", .type = '2', .link = "."}},
         .bad = {.path = "l/.wh..wh..opq"},
         .why = "whole root"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tape t = {0};
        _cleanup_free_ char *dir = tmp_dir(f);
        for (size_t j = 0; j < 2; j++)
            if (cases[i].setup[j].path)
                tape_put(&t, &cases[i].setup[j]);
        tape_put(&t, &cases[i].bad);
        print_message("          %s\n", cases[i].bad.path);
        assert_err(tape_unpack(f, &t, dir), ERR_INVALID);
        assert_contains(f->err.msg, cases[i].bad.path);
        assert_contains(f->err.msg, cases[i].why);
        assert_ok(dir_remove(dir, &f->err), f->err);
    }
}

/* Links are followed as inside the container: never out of the folder. */
static void links_lead_nowhere_else(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    _cleanup_free_ char *dir = tmp_dir(f), *outside = xasprintf("%s/outside", f->dir),
                        *target = xasprintf("%s/outside", dir);
    assert_ok(dir_make(outside, 0755, &f->err), f->err);
    tape_folder(&t, "deep/");
    tape_symlink(&t, "absolute", "/deep");
    tape_symlink(&t, "climbing", "../../../../../../deep");
    tape_symlink(&t, "deep/up", "../../../..");
    tape_file(&t, "absolute/a", "1");
    tape_file(&t, "climbing/b", "2");
    tape_file(&t, "deep/up/c", "3");
    tape_file(&t, "/top", "4");
    tape_file(&t, "//./deep//./d", "5");
    /* The last component is never followed: this replaces the link. */
    tape_symlink(&t, "last", outside);
    tape_file(&t, "last", "6");
    tape_symlink(&t, "folder", outside);
    tape_folder(&t, "folder/");
    tape_file(&t, "folder/in", "7");
    assert_ok(tape_unpack(f, &t, dir), f->err);
    assert_content(dir, "deep/a", "1");
    assert_content(dir, "deep/b", "2");
    assert_content(dir, "c", "3");
    assert_content(dir, "top", "4");
    assert_content(dir, "deep/d", "5");
    assert_content(dir, "last", "6");
    assert_content(dir, "folder/in", "7");
    assert_folder_empty(f, "outside");
    assert_false(path_exists(target));
}

/* A link put where the parent folder was open a moment ago. */
static void a_folder_replaced_by_a_link_is_looked_up_again(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    _cleanup_free_ char *dir = tmp_dir(f), *outside = xasprintf("%s/outside", f->dir);
    assert_ok(dir_make(outside, 0755, &f->err), f->err);
    tape_file(&t, "a/b/one", "1");
    tape_symlink(&t, "a", outside);
    tape_file(&t, "a/b/two", "2");
    assert_err(tape_unpack(f, &t, dir), ERR_INVALID);
    assert_folder_empty(f, "outside");
}

static bool is_whiteout(const char *dir, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static bool is_opaque(const char *dir, const char *name)
{
    char value[2];
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    return lgetxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

/* What a layer holds itself is not deleted by its own whiteouts, in either order. */
static void whiteouts_concern_lower_layers_only(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    _cleanup_free_ char *dir = tmp_dir(f);
    tape_file(&t, "early", "1");
    tape_file(&t, ".wh.early", "");
    tape_file(&t, ".wh.late", "");
    tape_file(&t, "late", "2");
    tape_file(&t, "folder/in", "3");
    tape_file(&t, ".wh.folder", "");
    tape_file(&t, ".wh.later", "");
    tape_file(&t, "later/in", "4");
    tape_file(&t, ".wh.last", "");
    tape_folder(&t, "last/");
    tape_file(&t, ".wh.gone", "");
    tape_file(&t, ".wh.gone", "");
    tape_file(&t, "opaque/.wh..wh..opq", "");
    tape_folder(&t, "opaque/");
    tape_file(&t, "opaque/in", "5");
    assert_ok(tape_unpack(f, &t, dir), f->err);
    assert_content(dir, "early", "1");
    assert_content(dir, "late", "2");
    assert_content(dir, "folder/in", "3");
    assert_content(dir, "later/in", "4");
    assert_content(dir, "opaque/in", "5");
    assert_true(is_whiteout(dir, "gone"));
    assert_true(is_opaque(dir, "folder"));
    assert_true(is_opaque(dir, "later"));
    assert_true(is_opaque(dir, "last"));
    assert_true(is_opaque(dir, "opaque"));
}

static void without_whiteouts_they_are_files(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n;
    _cleanup_free_ char *dir = tmp_dir(f);
    tape_file(&t, ".wh.x", "1");
    _cleanup_free_ char *bytes = tape_bytes(&t, &n);
    _cleanup_close_ int fd = bytes_fd(bytes, n);
    assert_ok(image_unpack(f->store, fd, dir, false, NULL, NULL, &f->err), f->err);
    assert_content(dir, ".wh.x", "1");
}

static void attributes_of_the_host_are_dropped(void **state)
{
    static const char *const dropped[] = {"trusted.overlay.opaque",  "trusted.overlay.redirect",
                                          "security.capability",     "security.selinux",
                                          "system.posix_acl_access", "user.overlay.redirect"};
    struct fixture *f = *state;
    struct tape t = {0};
    char value[64], name[16];
    _cleanup_free_ char *dir = tmp_dir(f);
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
        snprintf(name, sizeof(name), "%zu", i);
        tape_put(
            &t, &(struct tape_entry){.path = name, .type = '5', .xattr = dropped[i], .value = "y"});
    }
    tape_put(&t, &(struct tape_entry){.path = "kept", .xattr = "user.note", .value = "mine"});
    assert_ok(tape_unpack(f, &t, dir), f->err);
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%zu", dir, i);
        assert_true(lgetxattr(path, dropped[i], value, sizeof(value)) < 0);
    }
    _cleanup_free_ char *kept = xasprintf("%s/kept", dir);
    assert_int_equal(lgetxattr(kept, "user.note", value, sizeof(value)), 4);
}

static void names_are_bounded(void **state)
{
    struct fixture *f = *state;
    char component[301], deep[1200], path[5000];
    memset(component, 'x', 300);
    component[300] = '\0';
    for (size_t i = 0; i < 300; i++)
        memcpy(deep + 2 * i, "d/", 2);
    deep[600] = '\0';
    for (size_t i = 0; i + 201 < sizeof(path); i += 200) {
        memset(path + i, 'y', 199);
        path[i + 199] = '/';
        path[i + 200] = '\0';
    }
    for (const char *const *p = (const char *const[]){component, deep, path, NULL}; *p; p++) {
        struct tape t = {0};
        _cleanup_free_ char *dir = tmp_dir(f);
        tape_file(&t, *p, "x");
        assert_err(tape_unpack(f, &t, dir), ERR_INVALID);
        assert_true(strlen(f->err.msg) < 600);
    }
}

static void odd_names_are_kept(void **state)
{
    static const char *const names[] = {
        " ",  "a b", "new\nline", "tab\t",   "\xc3\xa4\xe2\x82\xac", "\xff\xfe", "*", "-rf",
        "\\", "...", "a..b",      "\x1b[31m"};
    struct fixture *f = *state;
    struct tape t = {0};
    _cleanup_free_ char *dir = tmp_dir(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        tape_file(&t, names[i], "x");
    assert_ok(tape_unpack(f, &t, dir), f->err);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_content(dir, names[i], "x");
}

static void errors_hold_no_control_characters(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    _cleanup_free_ char *dir = tmp_dir(f);
    tape_file(&t, "\x1b[2J\n../../x/..", "x");
    assert_err(tape_unpack(f, &t, dir), ERR_INVALID);
    for (const char *p = f->err.msg; *p; p++)
        assert_true((unsigned char)*p >= ' ');
}

static void cut_off_archives_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n;
    char data[3000];
    memset(data, 'x', sizeof(data));
    tape_file(&t, "a", "1");
    tape_put(&t, &(struct tape_entry){.path = "b", .data = data, .data_len = sizeof(data)});
    t.raw = true;
    _cleanup_free_ char *bytes = tape_bytes(&t, &n);
    for (size_t len = 0; len <= n; len += 64) { /* between the two entries too */
        _cleanup_free_ char *dir = tmp_dir(f);
        assert_err(bytes_unpack(f, bytes, len, dir), ERR_INVALID);
    }
}

static char *gzip(const char *bytes, size_t n, size_t *ret_len)
{
    size_t max = n + 4096;
    char *out = xmalloc(max);
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_pathname(e, "tape");
    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, out, max, ret_len), ARCHIVE_OK);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, bytes, n), n);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    archive_entry_free(e);
    return out;
}

static void cut_off_compression_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n, len;
    tape_file(&t, "a", "some content");
    _cleanup_free_ char *bytes = tape_bytes(&t, &n), *packed = gzip(bytes, n, &len);
    _cleanup_free_ char *whole = tmp_dir(f);
    assert_ok(bytes_unpack(f, packed, len, whole), f->err);
    assert_content(whole, "a", "some content");
    for (size_t i = 0; i < len; i += 7) {
        _cleanup_free_ char *dir = tmp_dir(f);
        assert_err(bytes_unpack(f, packed, i, dir), ERR_INVALID);
    }
    /* A bit that flipped is found by gzip's checksum. */
    packed[len / 2] ^= 1;
    _cleanup_free_ char *dir = tmp_dir(f);
    assert_err(bytes_unpack(f, packed, len, dir), ERR_INVALID);
}

static int unpack_limited(struct fixture *f, const char *bytes, size_t n,
                          struct unpack_limits limits)
{
    _cleanup_free_ char *dir = tmp_dir(f);
    _cleanup_close_ int fd = bytes_fd(bytes, n);
    f->err = (struct err){0};
    return image_unpack(f->store, fd, dir, true, NULL, &limits, &f->err);
}

static void limits_hold(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n;
    for (int i = 0; i < 10; i++)
        tape_file(&t, (char[]){(char)('a' + i), '\0'}, "12345");
    _cleanup_free_ char *bytes = tape_bytes(&t, &n);
    assert_ok(unpack_limited(f, bytes, n, (struct unpack_limits){.bytes = 50, .entries = 10}),
              f->err);
    assert_err(unpack_limited(f, bytes, n, (struct unpack_limits){.bytes = 49}), ERR_TOO_LARGE);
    assert_contains(f->err.msg, "'j'");
    assert_err(unpack_limited(f, bytes, n, (struct unpack_limits){.entries = 9, .hint = "less"}),
               ERR_TOO_LARGE);
    assert_string_equal(f->err.hint, "less");
}

static void what_is_sealed_has_limits_too(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n;
    _cleanup_free_ char *dir = tmp_dir(f), *id = NULL, *zeros = xcalloc(1, 2 << 20);
    tape_put(&t, &(struct tape_entry){.path = "f", .data = zeros, .data_len = 2 << 20});
    _cleanup_free_ char *bytes = tape_bytes(&t, &n);
    assert_ok(bytes_unpack(f, bytes, n, dir), f->err);
    struct unpack_limits limits = {.bytes = 1 << 20, .hint = "less"};
    assert_err(image_layer_seal_within(f->store, dir, &limits, &id, &f->err), ERR_TOO_LARGE);
    assert_contains(f->err.msg, "more than 1 MiB");
    assert_string_equal(f->err.hint, "less");
    limits.bytes = 3 << 20;
    assert_ok(image_layer_seal_within(f->store, dir, &limits, &id, &f->err), f->err);
}

static void bombs_do_not_go_off(void **state)
{
    struct fixture *f = *state;
    struct tape content = {0}, tail = {0}, sparse = {0};
    size_t n, len, big = (size_t)64 << 20;
    struct unpack_limits limits = {.bytes = 1 << 20, .entries = 10};
    _cleanup_free_ char *zeros = xcalloc(1, big);
    tape_put(&content, &(struct tape_entry){.path = "f", .data = zeros, .data_len = big});
    _cleanup_free_ char *bytes = tape_bytes(&content, &n), *packed = gzip(bytes, n, &len);
    assert_true(len < 100000);
    assert_err(unpack_limited(f, packed, len, limits), ERR_TOO_LARGE);
    /* Behind the end of the archive, where no entry counts it. */
    tape_file(&tail, "f", "x");
    free(TAKE_PTR(bytes));
    free(TAKE_PTR(packed));
    buf_add(&tail.bytes, zeros, big);
    bytes = tape_bytes(&tail, &n);
    packed = gzip(bytes, n, &len);
    assert_err(unpack_limited(f, packed, len, limits), ERR_TOO_LARGE);
    /* A size that is only claimed. */
    tape_put(&sparse, &(struct tape_entry){.path = "f", .size = (uint64_t)1 << 32});
    free(TAKE_PTR(bytes));
    bytes = tape_bytes(&sparse, &n);
    assert_err(unpack_limited(f, bytes, n, limits), ERR_TOO_LARGE);
    assert_err(unpack_limited(f, bytes, n, (struct unpack_limits){0}), ERR_INVALID);
}

static void later_entries_replace_earlier_ones(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    struct stat st;
    _cleanup_free_ char *dir = tmp_dir(f), *folder = xasprintf("%s/folder", dir);
    tape_file(&t, "file", "old");
    tape_file(&t, "file", "new");
    tape_file(&t, "folder/in", "1");
    tape_put(&t, &(struct tape_entry){.path = "folder", .type = '5', .mode = 0700});
    tape_file(&t, "becomes-file/in", "1");
    tape_file(&t, "becomes-file", "2");
    tape_file(&t, "becomes-folder", "1");
    tape_folder(&t, "becomes-folder/");
    tape_file(&t, "becomes-folder/in", "3");
    /* The other name of a file keeps the old content. */
    tape_file(&t, "first", "1");
    tape_hardlink(&t, "second", "first");
    tape_file(&t, "first", "2");
    assert_ok(tape_unpack(f, &t, dir), f->err);
    assert_content(dir, "file", "new");
    assert_content(dir, "folder/in", "1");
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_mtime, TAPE_TIME);
    assert_content(dir, "becomes-file", "2");
    assert_content(dir, "becomes-folder/in", "3");
    assert_content(dir, "first", "2");
    assert_content(dir, "second", "1");
}

/* A writer that stalls can't hold an unpacking that failed already: the bad entry arrives, the
 * decompressing thread is ahead of it and waits for more. */
static void a_stalled_pipe_does_not_hold_a_failure(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n, len, first = (size_t)600 << 10, second = (size_t)300 << 10;
    int p[2];
    _cleanup_free_ char *dir = tmp_dir(f), *zeros = xcalloc(1, first);
    tape_put(&t, &(struct tape_entry){.path = "good", .data = zeros, .data_len = first});
    tape_put(&t, &(struct tape_entry){.path = "../evil", .data = zeros, .data_len = second});
    _cleanup_free_ char *bytes = tape_bytes(&t, &n), *packed = gzip(bytes, n, &len);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_ok(fd_write_all(p[1], packed, len - 8, &f->err), f->err);
    alarm(30);
    assert_err(image_unpack(f->store, p[0], dir, true, NULL, NULL, &f->err), ERR_INVALID);
    alarm(0);
    close(p[0]);
    close(p[1]);
}

static void a_full_disk_is_said_so(void **state)
{
    struct fixture *f = *state;
    struct tape t = {0};
    size_t n, big = (size_t)3 << 20;
    struct image_store *small;
    char *id;
    _cleanup_free_ char *mount_point = xasprintf("%s/small", f->dir), *data = xcalloc(1, big);
    assert_ok(dir_make(mount_point, 0755, &f->err), f->err);
    assert_int_equal(mount("davit-test", mount_point, "tmpfs", 0, "size=2m"), 0);
    assert_ok(image_store_open(mount_point, FIXTURE_UID, &small, &f->err), f->err);
    tape_put(&t, &(struct tape_entry){.path = "big", .data = data, .data_len = big});
    _cleanup_free_ char *bytes = tape_bytes(&t, &n), *dir = NULL;
    _cleanup_close_ int fd = bytes_fd(bytes, n);
    assert_ok(image_tmp_dir(small, &dir, &f->err), f->err);
    assert_err(image_unpack(small, fd, dir, true, NULL, NULL, &f->err), ERR_NO_SPACE);
    assert_contains(f->err.msg, "big");
    /* The same through an import, which leaves nothing; the archive lies elsewhere. */
    char diff_id[DIGEST_LEN + 1];
    digest_of((struct str){bytes, n}, diff_id);
    struct tape outer = {0};
    _cleanup_free_ char *config =
        xasprintf("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}", diff_id);
    tape_put(&outer, &(struct tape_entry){.path = "l", .data = bytes, .data_len = n});
    tape_file(&outer, "c", config);
    tape_file(&outer, "manifest.json", "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]");
    _cleanup_free_ char *archive = tape_bytes(&outer, &n), *path = xasprintf("%s/a.tar", f->dir),
                        *source = xasprintf("docker-archive:%s", path);
    assert_ok(file_replace(path, (struct str){archive, n}, 0644, &f->err), f->err);
    assert_ok(dir_remove(dir, &f->err), f->err);
    assert_err(image_import(small, source, NULL, &id, &f->err), ERR_NO_SPACE);
    assert_folder_empty(f, "small/tmp");
    assert_folder_empty(f, "small/layers");
    image_store_close(small);
    assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
}

static void other_file_systems_are_not_sealed(void **state)
{
    struct fixture *f = *state;
    char *id;
    _cleanup_free_ char *dir = tmp_dir(f), *inner = xasprintf("%s/inner", dir);
    assert_int_equal(mkdir(inner, 0755), 0);
    assert_int_equal(mount("davit-test", inner, "tmpfs", 0, "size=1m,uid=1000000,gid=1000000"), 0);
    assert_err(image_layer_seal(f->store, dir, &id, &f->err), ERR_INVALID);
    assert_contains(f->err.msg, "inner");
    assert_int_equal(umount2(inner, MNT_DETACH), 0);
}

static char *seal(struct fixture *f, struct tape *t, const char *like)
{
    char *id = NULL;
    size_t n;
    _cleanup_free_ char *dir = tmp_dir(f), *bytes = tape_bytes(t, &n);
    _cleanup_close_ int fd = bytes_fd(bytes, n);
    assert_ok(image_unpack(f->store, fd, dir, true, like, NULL, &f->err), f->err);
    assert_ok(image_layer_seal(f->store, dir, &id, &f->err), f->err);
    return id;
}

static ino_t inode(const char *dir, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_ino;
}

/* What is alike is linked, what differs in anything is written; the lower layer stays as it is. */
static void like_links_only_what_is_the_same(void **state)
{
    struct fixture *f = *state;
    struct tape a = {0}, b = {0};
    size_t big = (size_t)700 << 10;
    _cleanup_free_ char *data = xmalloc(big);
    memset(data, 'x', big);
    tape_file(&a, "same", "1");
    tape_file(&a, "empty", "");
    tape_put(&a, &(struct tape_entry){.path = "big", .data = data, .data_len = big});
    tape_put(&a, &(struct tape_entry){.path = "late", .data = data, .data_len = big});
    tape_file(&a, "content", "1");
    tape_file(&a, "mode", "1");
    tape_file(&a, "owner", "1");
    tape_file(&a, "shorter", "12");
    tape_put(&a,
             &(struct tape_entry){.path = "attr", .data = "1", .xattr = "user.a", .value = "1"});
    tape_symlink(&a, "link", "same");
    _cleanup_free_ char *first = seal(f, &a, NULL), *lower = image_layer_path(f->store, first);
    tape_put(&b, &(struct tape_entry){.path = "same", .data = "1", .mtime = 5});
    tape_file(&b, "empty", "");
    tape_put(&b, &(struct tape_entry){.path = "big", .data = data, .data_len = big});
    data[big - 1] = 'y';
    tape_put(&b, &(struct tape_entry){.path = "late", .data = data, .data_len = big});
    tape_file(&b, "content", "2");
    tape_put(&b, &(struct tape_entry){.path = "mode", .data = "1", .mode = 0755});
    tape_put(&b, &(struct tape_entry){.path = "owner", .data = "1", .uid = 7});
    tape_file(&b, "shorter", "1");
    tape_file(&b, "attr", "1");
    tape_file(&b, "link", "1");
    tape_file(&b, "added", "1");
    tape_file(&b, "same", "1");
    tape_hardlink(&b, "other-name", "same");
    _cleanup_free_ char *second = seal(f, &b, lower), *upper = image_layer_path(f->store, second);
    static const char *const linked[] = {"same", "empty", "big"}, *const written[] = {
                                                                      "late",  "content", "mode",
                                                                      "owner", "shorter", "attr",
                                                                      "link"};
    for (size_t i = 0; i < ARRAY_LEN(linked); i++)
        assert_int_equal(inode(lower, linked[i]), inode(upper, linked[i]));
    for (size_t i = 0; i < ARRAY_LEN(written); i++)
        assert_int_not_equal(inode(lower, written[i]), inode(upper, written[i]));
    assert_content(upper, "content", "2");
    assert_content(upper, "other-name", "1");
    assert_content(lower, "content", "1");
    _cleanup_free_ char *late = xasprintf("%s/late", upper);
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    assert_ok(file_read(late, &got, &f->err), f->err);
    assert_int_equal(got.len, big);
    assert_memory_equal(got.ptr, data, big);
}

/* Killed anywhere, an import leaves a store that a later one completes, and rubbish only in tmp/.
 */
static void killed_imports_leave_a_good_store(void **state)
{
    struct fixture *f = *state;
    struct tape layer = {0}, outer = {0};
    char name[16], diff_id[DIGEST_LEN + 1], *id = NULL;
    size_t n;
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
        tape_file(&layer, name, "content that is longer than nothing");
    }
    _cleanup_free_ char *bytes = tape_bytes(&layer, &n);
    digest_of((struct str){bytes, n}, diff_id);
    _cleanup_free_ char *config =
        xasprintf("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}", diff_id);
    tape_put(&outer, &(struct tape_entry){.path = "l", .data = bytes, .data_len = n});
    tape_file(&outer, "c", config);
    tape_file(&outer, "manifest.json", "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]");
    _cleanup_free_ char *archive = tape_bytes(&outer, &n), *path = xasprintf("%s/a.tar", f->dir),
                        *source = xasprintf("docker-archive:%s", path);
    assert_ok(file_replace(path, (struct str){archive, n}, 0644, &f->err), f->err);
    int killed = 0;
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(60);
            _exit(image_import(f->store, source, NULL, &id, NULL) == 0 ? 0 : 1);
        }
        usleep((useconds_t)(i * i * 20)); /* somewhere in its work */
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        killed += WIFSIGNALED(status);
        _cleanup_free_ char *folder = image_layer_path(f->store, diff_id);
        if (path_exists(folder)) {
            for (int k = 0; k < 300; k++) {
                snprintf(name, sizeof(name), "d%d/f%d", k % 7, k);
                assert_content(folder, name, "content that is longer than nothing");
            }
            struct image_gc_stats gone;
            assert_ok(image_gc(f->store, NULL, -10, &gone, &f->err), f->err);
        }
        assert_ok(image_store_clean(f->store, &f->err), f->err);
        assert_folder_empty(f, "tmp");
    }
    print_message("          %d killed\n", killed);
    assert_true(killed > 0);
    assert_ok(image_import(f->store, source, NULL, &id, &f->err), f->err);
    assert_folder_empty(f, "tmp");
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(entries_that_are_refused),
        fixture_test(links_lead_nowhere_else),
        fixture_test(a_folder_replaced_by_a_link_is_looked_up_again),
        fixture_test(whiteouts_concern_lower_layers_only),
        fixture_test(without_whiteouts_they_are_files),
        fixture_test(attributes_of_the_host_are_dropped),
        fixture_test(names_are_bounded),
        fixture_test(odd_names_are_kept),
        fixture_test(errors_hold_no_control_characters),
        fixture_test(cut_off_archives_are_refused),
        fixture_test(cut_off_compression_is_refused),
        fixture_test(limits_hold),
        fixture_test(what_is_sealed_has_limits_too),
        fixture_test(bombs_do_not_go_off),
        fixture_test(later_entries_replace_earlier_ones),
        fixture_test(a_stalled_pipe_does_not_hold_a_failure),
        fixture_test(a_full_disk_is_said_so),
        fixture_test(other_file_systems_are_not_sealed),
        fixture_test(like_links_only_what_is_the_same),
        fixture_test(killed_imports_leave_a_good_store),
    };
    return cmocka_run_group_tests_name("image_hostile", tests, own_mounts, NULL);
}
