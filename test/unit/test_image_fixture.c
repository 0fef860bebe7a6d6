#include "test_image_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "os/file.h"
#include "os/spawn.h"

int fixture_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    const char *tmp = getenv("TMPDIR");
    f->dir = xasprintf("%s/davit-image-XXXXXX", tmp ? tmp : "/tmp");
    /* As /var/lib is: what fetches from registries is another user. */
    if (!mkdtemp(f->dir) || chmod(f->dir, 0755) < 0 ||
        image_store_open(f->dir, FIXTURE_UID, &f->store, &f->err) < 0) {
        print_error("%s: %s\n", f->dir, f->err.msg);
        return -1;
    }
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    image_store_close(f->store);
    int r = dir_remove(f->dir, &f->err);
    if (r < 0)
        print_error("%s\n", f->err.msg);
    free(f->dir);
    free(f);
    return r;
}

int own_mounts(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        return 0;
    print_error("a mount namespace: %s\n", strerror(errno));
    return -1;
}

void assert_folder_empty(struct fixture *f, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
    DIR *d = opendir(path);
    assert_non_null(d);
    struct dirent *e;
    while ((e = readdir(d)))
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            fail_msg("%s holds %s", path, e->d_name);
    closedir(d);
}

void assert_content(const char *dir, const char *name, const char *content)
{
    struct err err = {0};
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    if (!content) {
        assert_false(path_exists(path));
        return;
    }
    assert_ok(file_read(path, &b, &err), err);
    assert_int_equal(b.len, strlen(content));
    assert_memory_equal(b.ptr ? b.ptr : "", content, b.len);
}

static void put_octal(char *field, size_t width, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%0*llo", (int)width - 1, (unsigned long long)value);
    memcpy(field, text, width);
}

static void put_header(struct tape *t, const char *path, const char *link, char type, uint64_t size,
                       const struct tape_entry *e)
{
    char h[512] = {0};
    uint64_t owner = (uint64_t)(e->uid ? e->uid : 1000) & 07777777;
    memcpy(h, path, MIN(strlen(path), (size_t)100));
    put_octal(h + 100, 8, e->mode ? e->mode : type == '5' ? 0755 : 0644);
    put_octal(h + 108, 8, owner);
    put_octal(h + 116, 8, owner);
    put_octal(h + 124, 12, size);
    put_octal(h + 136, 12, (uint64_t)(e->mtime > 0 ? e->mtime : TAPE_TIME) & 077777777777);
    h[156] = type;
    memcpy(h + 157, link, MIN(strlen(link), (size_t)100));
    memcpy(h + 257, "ustar\00000", 8);
    if (type == '3' || type == '4') {
        put_octal(h + 329, 8, 1);
        put_octal(h + 337, 8, 3);
    }
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(h); i++)
        sum += (unsigned char)h[i];
    put_octal(h + 148, 7, sum);
    buf_add(&t->bytes, h, sizeof(h));
}

static void pad(struct tape *t)
{
    while (t->bytes.len % 512)
        buf_addc(&t->bytes, '\0');
}

static void record(struct buf *b, const char *key, const char *value, size_t len)
{
    size_t n = strlen(key) + len + 4;
    while (n != strlen(key) + len + 3 + (size_t)snprintf(NULL, 0, "%zu", n))
        n++;
    buf_addf(b, "%zu %s=", n, key);
    buf_add(b, value, len);
    buf_addc(b, '\n');
}

static void record_number(struct buf *b, const char *key, int64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%lld", (long long)value);
    record(b, key, text, (size_t)n);
}

static void put_pax(struct tape *t, const struct tape_entry *e, const char *link)
{
    _cleanup_(buf_release) struct buf b = BUF_CAP((size_t)64 << 20);
    if (e->xattr) {
        _cleanup_free_ char *key = xasprintf("SCHILY.xattr.%s", e->xattr);
        record(&b, key, e->value, e->xattr_len ? e->xattr_len : strlen(e->value));
    }
    if (strlen(e->path) > 100 || strlen(link) > 100)
        record(&b, "hdrcharset", "BINARY", 6);
    if (strlen(e->path) > 100)
        record(&b, "path", e->path, strlen(e->path));
    if (strlen(link) > 100)
        record(&b, "linkpath", link, strlen(link));
    if (e->uid > 07777777)
        record_number(&b, "uid", e->uid);
    if (e->mtime < 0 || e->mtime >> 33)
        record_number(&b, "mtime", e->mtime);
    if (!b.len)
        return;
    put_header(t, "pax", "", 'x', b.len, &(struct tape_entry){0});
    buf_add(&t->bytes, b.ptr, b.len);
    pad(t);
}

static void start(struct tape *t)
{
    if (!t->bytes.cap)
        t->bytes = BUF_CAP((size_t)1 << 30);
}

void tape_put(struct tape *t, const struct tape_entry *e)
{
    const char *link = e->link ? e->link : "";
    size_t len = e->data_len ? e->data_len : e->data ? strlen(e->data) : 0;
    start(t);
    put_pax(t, e, link);
    put_header(t, e->path, link, e->type ? e->type : '0', e->size ? e->size : len, e);
    buf_add(&t->bytes, e->data, len);
    pad(t);
}

void tape_file(struct tape *t, const char *path, const char *data)
{
    tape_put(t, &(struct tape_entry){.path = path, .data = data});
}

void tape_folder(struct tape *t, const char *path)
{
    tape_put(t, &(struct tape_entry){.path = path, .type = '5'});
}

void tape_symlink(struct tape *t, const char *path, const char *target)
{
    tape_put(t, &(struct tape_entry){.path = path, .type = '2', .link = target, .mode = 0777});
}

void tape_hardlink(struct tape *t, const char *path, const char *target)
{
    tape_put(t, &(struct tape_entry){.path = path, .type = '1', .link = target});
}

char *tape_bytes(struct tape *t, size_t *ret_len)
{
    static const char end[1024];
    start(t);
    if (!t->raw)
        buf_add(&t->bytes, end, sizeof(end));
    *ret_len = t->bytes.len;
    return buf_take(&t->bytes);
}

int tape_unpack(struct fixture *f, struct tape *t, const char *dir)
{
    size_t len;
    _cleanup_free_ char *bytes = tape_bytes(t, &len);
    return bytes_unpack(f, bytes, len, dir);
}

int bytes_fd(const void *data, size_t len)
{
    int fd = memfd_create("tape", MFD_CLOEXEC);
    if (fd < 0 || fd_write_all(fd, data, len, NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    return fd;
}

int bytes_unpack(struct fixture *f, const void *data, size_t len, const char *dir)
{
    _cleanup_close_ int fd = bytes_fd(data, len);
    f->err = (struct err){0};
    return image_unpack(f->store, fd, dir, true, NULL, NULL, &f->err);
}

char *tmp_dir(struct fixture *f)
{
    char *dir;
    assert_ok(image_tmp_dir(f->store, &dir, &f->err), f->err);
    return dir;
}

void run_program(const char *const *argv, struct buf *out)
{
    struct err err = {0};
    assert_ok(spawn_run(argv, (struct str){0}, out, &err), err);
}
char *below(struct fixture *f, const char *name) { return xasprintf("%s/%s", f->dir, name); }

char *tape_seal(struct fixture *f, struct tape *t)
{
    char *id = NULL;
    _cleanup_free_ char *dir = tmp_dir(f);
    assert_ok(tape_unpack(f, t, dir), f->err);
    assert_ok(image_layer_seal(f->store, dir, &id, &f->err), f->err);
    return id;
}

char *make_image(struct fixture *f)
{
    struct tape a = {0}, b = {0};
    struct image i = {.user = (char *)"1000", .workdir = (char *)"/app"};
    char *digest;
    tape_folder(&a, "app/");
    tape_file(&a, "app/gone", "1");
    tape_file(&a, "app/kept", KEPT);
    tape_file(&a, "app/sub/hidden", "3");
    tape_symlink(&a, "app/link", "kept");
    tape_put(&a, &(struct tape_entry){.path = "app/setuid", .data = "4", .mode = 04755, .uid = 33});
    tape_file(&b, "app/.wh.gone", "");
    tape_file(&b, "app/sub/.wh..wh..opq", "");
    tape_file(&b, "app/sub/new", "5");
    tape_hardlink(&b, "app/same", "app/sub/new");
    strv_take(&i.diff_ids, tape_seal(f, &a));
    strv_take(&i.diff_ids, tape_seal(f, &b));
    strv_add(&i.cmd, "/app/run");
    strv_add(&i.env, "A=b");
    strv_add(&i.ports, "8080/tcp");
    assert_ok(image_write(f->store, &i, &digest, &f->err), f->err);
    strv_release(&i.diff_ids);
    strv_release(&i.cmd);
    strv_release(&i.env);
    strv_release(&i.ports);
    return digest;
}

int folder_count(struct fixture *f, const char *folder)
{
    _cleanup_free_ char *path = below(f, folder);
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    int n = 0;
    run_program((const char *const[]){"find", path, "-mindepth", "1", "-maxdepth", "1", NULL},
                &out);
    for (const char *p = out.ptr; p && (p = strchr(p, '\n')); p++)
        n++;
    return n;
}
