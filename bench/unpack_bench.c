/* The stopwatch's subject in bench/unpack.py: one job a process, as `tar` is one.
 *
 *     unpack_bench unpack STORE FILE DIGEST DIFF_ID   unpack a layer, both digests checked; no sync
 *     unpack_bench import STORE SOURCE                the whole of image_import, durable
 *     unpack_bench seal STORE FOLDER N                N times: copy the folder into tmp/ and seal
 *                                                     it; prints the microseconds of each seal
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "image/unpack.h"
#include "os/file.h"
#include "os/spawn.h"

enum { UID_BASE = 0x10000 };

static struct err err;

static void must(int r)
{
    if (r >= 0)
        return;
    fprintf(stderr, "unpack_bench: %s\n", err.msg);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void unpack(struct image_store *s, char **args)
{
    _cleanup_free_ char *dir = NULL;
    struct unpack_result result;
    struct stat st;
    _cleanup_close_ int fd = open(args[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        must(err_errno(&err, "%s", args[0]));
    must(image_tmp_dir(s, &dir, &err));
    struct unpack_job job = {
        .source = {.fd = fd, .size = (uint64_t)st.st_size, .digest = args[1], .diff_id = args[2]},
        .dir = dir,
        .whiteouts = true};
    must(unpack_run(s, &job, &result, &err));
}

static void import(struct image_store *s, char **args)
{
    _cleanup_free_ char *digest = NULL;
    must(image_import(s, args[0], NULL, &digest, &err));
}

static void seal(struct image_store *s, char **args)
{
    for (int i = 0, n = atoi(args[1]); i < n; i++) {
        _cleanup_free_ char *dir = NULL, *id = NULL, *new = NULL;
        must(image_tmp_dir(s, &dir, &err));
        const char *const copy[] = {"cp", "-r", args[0], dir, NULL};
        must(spawn_run(copy, (struct str){0}, NULL, &err));
        new = xasprintf("%s/version", dir);
        _cleanup_free_ char *text = xasprintf("%d of process %d\n", i, getpid());
        must(file_replace(new, str_of(text), 0644, &err));
        const char *const own[] = {"chown", "-R", "65536:65536", dir, NULL};
        must(spawn_run(own, (struct str){0}, NULL, &err));
        double begin = now_us();
        must(image_layer_seal(s, dir, &id, &err));
        printf("%.0f\n", now_us() - begin);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        void (*run)(struct image_store *s, char **args);
    } jobs[] = {{"unpack", 3, unpack}, {"import", 1, import}, {"seal", 2, seal}};
    for (size_t i = 0; argc > 2 && i < ARRAY_LEN(jobs); i++) {
        if (!streq(argv[1], jobs[i].name) || argc != jobs[i].args + 3)
            continue;
        _cleanup_(image_store_closep) struct image_store *s = NULL;
        must(image_store_open(argv[2], UID_BASE, &s, &err));
        jobs[i].run(s, argv + 3);
        return 0;
    }
    fprintf(stderr, "usage: unpack_bench unpack|import|seal STORE …\n");
    return 2;
}
