/* Power loss: a real ext4 on a loop device is shut down as if the machine had lost its power
 * (EXT4_IOC_SHUTDOWN without flushing the log), then mounted again. */
#include "test_image_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "image/internal.h"
#include "image/tree.h"
#include "os/file.h"
#include "os/spawn.h"

#define SHUTDOWN _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN */
enum { WITHOUT_LOG = 2 };                 /* EXT4_GOING_FLAGS_NOLOGFLUSH */

struct machine {
    struct fixture *f;
    char *disk, *mount_point;
    struct image_store *store;
};

static void run(const char *const *argv)
{
    struct err err = {0};
    assert_ok(spawn_run(argv, (struct str){0}, NULL, &err), err);
}

static void power_on(struct machine *m)
{
    run((const char *const[]){"mount", "-o", "loop", m->disk, m->mount_point, NULL});
    assert_ok(image_store_open(m->mount_point, FIXTURE_UID, &m->store, &m->f->err), m->f->err);
}

static void power_off(struct machine *m, bool loss)
{
    uint32_t how = WITHOUT_LOG;
    _cleanup_close_ int fd = open(m->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (loss)
        assert_int_equal(ioctl(fd, SHUTDOWN, &how), 0);
    closep(&fd);
    fd = -1;
    image_store_close(m->store);
    m->store = NULL;
    assert_int_equal(umount2(m->mount_point, 0), 0);
}

static void machine_init(struct machine *m, struct fixture *f)
{
    *m = (struct machine){f, xasprintf("%s/disk", f->dir), xasprintf("%s/mnt", f->dir), NULL};
    _cleanup_close_ int fd = open(m->disk, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_ok(dir_make(m->mount_point, 0755, &f->err), f->err);
    run((const char *const[]){"mkfs.ext4", "-q", m->disk, NULL});
    power_on(m);
}

static void machine_release(struct machine *m)
{
    if (m->store)
        power_off(m, false);
    free(m->disk);
    free(m->mount_point);
}

/* A layer of `files` files, different for every `seed`. */
static char *make_layer(struct image_store *s, unsigned seed, unsigned files, struct err *err)
{
    struct tape t = {0};
    char *dir = NULL, *id = NULL, name[32], content[9000];
    size_t n;
    for (unsigned i = 0; i < files; i++) {
        snprintf(name, sizeof(name), "d%u/f%u", i % 3, i);
        memset(content, 'a' + (int)((seed + i) % 26), sizeof(content));
        tape_put(
            &t, &(struct tape_entry){.path = name, .data = content, .data_len = 100 + seed % 8000});
    }
    _cleanup_free_ char *bytes = tape_bytes(&t, &n);
    _cleanup_close_ int fd = bytes_fd(bytes, n);
    if (image_tmp_dir(s, &dir, err) == 0 && image_unpack(s, fd, dir, true, NULL, NULL, err) == 0)
        image_layer_seal(s, dir, &id, err);
    free(dir);
    return id;
}

static int hash(void *ctx, const void *data, size_t n, struct err *err)
{
    (void)err;
    sha256_update(ctx, n, data);
    return 0;
}

/* The folder is what its name says. */
static void assert_whole(struct machine *m, const char *hex)
{
    struct sha256_ctx sum;
    struct tree_stats stats;
    struct layer_info info;
    char digest[DIGEST_LEN + 1];
    _cleanup_free_ char *id = xasprintf("sha256:%s", hex), *path = image_layer_path(m->store, id);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sha256_init(&sum);
    assert_ok(tree_tar(fd, FIXTURE_UID, &(struct tar_sink){hash, &sum}, &stats, &m->f->err),
              m->f->err);
    digest_finish(&sum, digest);
    assert_string_equal(digest, id);
    assert_ok(layer_info_get(m->store, id, &info, &m->f->err), m->f->err);
    assert_int_equal(info.tar_size, stats.tar_size);
}

static unsigned assert_all_whole(struct machine *m)
{
    unsigned n = 0;
    _cleanup_free_ char *path = xasprintf("%s/layers", m->mount_point);
    DIR *dir = opendir(path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (strlen(e->d_name) != DIGEST_HEX_LEN)
            continue;
        assert_whole(m, e->d_name);
        n++;
    }
    closedir(dir);
    return n;
}

/* Both ways of syncing: few files and many. */
static void what_was_acknowledged_is_there(void **state)
{
    struct machine m;
    machine_init(&m, *state);
    for (unsigned round = 0; round < 6; round++) {
        struct image i = {.user = (char *)""}, got = {0};
        _cleanup_free_ char *digest = NULL;
        strv_take(&i.diff_ids, make_layer(m.store, round, round % 2 ? 200 : 5, &m.f->err));
        assert_ok(image_write(m.store, &i, &digest, &m.f->err), m.f->err);
        if (round >= 3)
            assert_ok(image_ref_set(m.store, "named", digest, &m.f->err), m.f->err);
        power_off(&m, true);
        power_on(&m);
        const char *name = round >= 3 ? "named" : digest;
        assert_ok(image_get(m.store, name, &got, &m.f->err), m.f->err);
        assert_string_equal(got.digest, digest);
        assert_whole(&m, digest_hex(got.diff_ids.items[0]));
        image_release(&got);
        strv_release(&i.diff_ids);
    }
    assert_int_equal(assert_all_whole(&m), 6);
    machine_release(&m);
}

/* Whenever the power goes, a layer that is there is whole, and those that were reported are there.
 */
static void nothing_is_there_in_part(void **state)
{
    struct machine m;
    machine_init(&m, *state);
    for (unsigned round = 0; round < 8; round++) {
        int report[2];
        char line[DIGEST_LEN];
        assert_int_equal(pipe2(report, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct err err;
            for (unsigned i = 0; i < 1000; i++) {
                char *id = make_layer(m.store, round * 1000 + i, i % 4 ? 8 : 90, &err);
                if (!id || fd_write_all(report[1], id, DIGEST_LEN, &err) < 0)
                    _exit(0);
                free(id);
            }
            _exit(0);
        }
        close(report[1]);
        /* Some layers later, in the middle of one. */
        struct strv reported = {0};
        for (unsigned i = 0; i <= round && read(report[0], line, DIGEST_LEN) == DIGEST_LEN; i++)
            strv_take(&reported, xstrndup(line, DIGEST_LEN));
        usleep(round * 700); /* further on in it each time */
        kill(pid, SIGSTOP);
        uint32_t how = WITHOUT_LOG;
        _cleanup_close_ int fd = open(m.mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(ioctl(fd, SHUTDOWN, &how), 0);
        closep(&fd);
        fd = -1;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        power_off(&m, false);
        power_on(&m);
        while (read(report[0], line, DIGEST_LEN) == DIGEST_LEN)
            strv_take(&reported, xstrndup(line, DIGEST_LEN));
        close(report[0]);
        for (size_t i = 0; i < reported.n; i++)
            assert_true(layer_exists(m.store, reported.items[i]));
        assert_true(reported.n > 0);
        assert_true(assert_all_whole(&m) >= reported.n);
        strv_release(&reported);
        assert_ok(image_store_clean(m.store, &m.f->err), m.f->err);
        struct image_gc_stats gone;
        assert_ok(image_gc(m.store, NULL, -10, &gone, &m.f->err), m.f->err);
    }
    machine_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(what_was_acknowledged_is_there),
        fixture_test(nothing_is_there_in_part),
    };
    return cmocka_run_group_tests_name("image_power", tests, own_mounts, NULL);
}
