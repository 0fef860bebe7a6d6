/* Each system call of an import fails, or is the last one made, in turn (strace injects it).
 * Whatever happens: a failure is said, tmp/ is empty after it, and the next import makes a whole
 * image. */
#include "test_image_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/digest.h"
#include "os/file.h"
#include "os/spawn.h"

static const char *program; /* this one: run as "PROGRAM STORE SOURCE" it imports */

static int import(const char *dir, const char *source)
{
    struct err err = {0};
    struct image_store *s;
    char *digest = NULL;
    int r = image_store_open(dir, FIXTURE_UID, &s, &err);
    if (!r) {
        r = image_import(s, source, NULL, &digest, &err);
        image_store_close(s);
    }
    free(digest);
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    return r < 0 ? 1 : 0;
}

/* A gzipped layer in a docker archive: files, folders, links, a whiteout. */
static char *make_archive(struct fixture *f)
{
    struct tape layer = {0}, outer = {0};
    char name[16], content[700], diff_id[DIGEST_LEN + 1];
    size_t n;
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "d%d/f%d", i % 3, i);
        memset(content, 'a' + i, sizeof(content));
        tape_put(&layer,
                 &(struct tape_entry){.path = name, .data = content, .data_len = sizeof(content)});
    }
    tape_hardlink(&layer, "hard", "d0/f0");
    tape_symlink(&layer, "soft", "d0");
    tape_file(&layer, ".wh.gone", "");
    _cleanup_free_ char *bytes = tape_bytes(&layer, &n);
    digest_of((struct str){bytes, n}, diff_id);
    _cleanup_free_ char *config =
        xasprintf("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}", diff_id);
    tape_put(&outer, &(struct tape_entry){.path = "l", .data = bytes, .data_len = n});
    tape_file(&outer, "c", config);
    tape_file(&outer, "manifest.json", "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]");
    _cleanup_free_ char *archive = tape_bytes(&outer, &n);
    char *path = xasprintf("%s/archive", f->dir);
    assert_ok(file_replace(path, (struct str){archive, n}, 0644, &f->err), f->err);
    return path;
}

/* Imports in a process of its own with the fault; its exit status, 128+9 when it was killed. */
static int import_with(const char *fault, const char *store, const char *source, struct buf *said)
{
    struct err err = {0};
    int p[2];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    _cleanup_free_ char *inject = xasprintf("inject=%s", fault),
                        *trace = xasprintf("trace=%.*s", (int)strcspn(fault, ":"), fault);
    const char *const argv[] = {"strace", "-f",   "-q",    "-o",  "/dev/null", "-e", trace,
                                "-e",     inject, program, store, source,      NULL};
    struct spawn s = {.argv = argv, .fds = {-1, -1, p[1]}};
    pid_t pid = spawn_start(&s, &err);
    assert_ok(pid, err);
    close(p[1]);
    char chunk[1024];
    for (ssize_t n; (n = read(p[0], chunk, sizeof(chunk))) > 0;)
        buf_add(said, chunk, (size_t)n);
    close(p[0]);
    return spawn_wait(pid);
}

static void every_failure_is_survived(void **state)
{
    static const char *const calls[] = {"openat", "openat2",    "read",      "pread64",   "write",
                                        "fsync",  "renameat",   "renameat2", "mkdirat",   "fchown",
                                        "fchmod", "utimensat",  "linkat",    "symlinkat", "mknodat",
                                        "flock",  "newfstatat", "clone3"};
    static const char *const faults[] = {"error=EIO", "error=ENOSPC", "signal=KILL"};
    struct fixture *f = *state;
    _cleanup_free_ char *archive = make_archive(f), *store = xasprintf("%s/inner", f->dir),
                        *source = xasprintf("docker-archive:%s", archive),
                        *out = xasprintf("%s/out", f->dir);
    unsigned failed = 0, killed = 0;
    for (size_t c = 0; c < ARRAY_LEN(calls); c++) {
        for (unsigned when = 1; when <= 16; when *= 2) {
            /* Each count with another fault, all faults for each call. */
            const char *how = faults[(c + (unsigned)__builtin_ctz(when)) % ARRAY_LEN(faults)];
            _cleanup_free_ char *fault = xasprintf("%s:%s:when=%u", calls[c], how, when);
            _cleanup_(buf_release) struct buf said = BUF_CAP(4096);
            _cleanup_free_ char *digest = NULL;
            struct image_store *s;
            assert_ok(dir_make(store, 0755, &f->err), f->err);
            int status = import_with(fault, store, source, &said);
            bool no_start = status == 127; /* the fault hit the loader of shared libraries */
            failed += status == 1;
            killed += status == 128 + SIGKILL;
            assert_true(status == 0 || status == 1 || no_start || status == 128 + SIGKILL);
            if (status == 1 && !said.len)
                fail_msg("%s: failed without a word", fault);
            _cleanup_free_ char *tmp = xasprintf("%s/tmp", store);
            if (status != 128 + SIGKILL && path_exists(tmp))
                assert_folder_empty(f, "inner/tmp");
            assert_ok(image_store_open(store, FIXTURE_UID, &s, &f->err), f->err);
            assert_ok(image_store_clean(s, &f->err), f->err);
            assert_ok(image_import(s, source, NULL, &digest, &f->err), f->err);
            assert_ok(image_export(s, digest, out, "x", &f->err), f->err);
            image_store_close(s);
            assert_folder_empty(f, "inner/tmp");
            assert_ok(dir_remove(store, &f->err), f->err);
            assert_ok(dir_remove(out, &f->err), f->err);
        }
    }
    print_message("          %u failed, %u killed\n", failed, killed);
    assert_true(failed > 20 && killed > 10);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return import(argv[1], argv[2]);
    program = argv[0];
    /* A sanitizer's search for leaks can't share the process with strace. */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    const struct CMUnitTest tests[] = {fixture_test(every_failure_is_survived)};
    return cmocka_run_group_tests_name("image_faults", tests, NULL, NULL);
}
