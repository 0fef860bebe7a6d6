/* For tests of the image room: a store of its own for each, and tapes, archives written byte by
 * byte so that they can hold what no tool would write. */
#ifndef TEST_IMAGE_FIXTURE_H
#define TEST_IMAGE_FIXTURE_H

#include "cm.h"
#include "image/image.h"

enum { FIXTURE_UID = 1000000, TAPE_TIME = 1700000000 };

struct fixture {
    char *dir;
    struct image_store *store;
    struct err err;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* A group's setup: what it mounts is seen by nobody else, who could keep it alive in a copy of
 * their own, and ends with it. */
int own_mounts(void **state);

/* A new folder below the store's tmp/; the fixture's until it ends, as the text is. */
char *tmp_dir(struct fixture *f);
void assert_folder_empty(struct fixture *f, const char *name);
/* DIR/NAME is a regular file with that content, or there is nothing where it is NULL. */
void assert_content(const char *dir, const char *name, const char *content);

struct tape {
    struct buf bytes;
    bool raw; /* no end marker is added */
};

/* Zero members take a default: a file, mode 0644, owner 1000, TAPE_TIME. */
struct tape_entry {
    const char *path, *link, *data, *xattr, *value;
    size_t data_len, xattr_len; /* 0: strlen */
    char type;
    unsigned mode;
    int64_t uid, mtime;
    uint64_t size; /* what the header says, if not data_len */
};

void tape_put(struct tape *t, const struct tape_entry *e);
void tape_file(struct tape *t, const char *path, const char *data);
void tape_folder(struct tape *t, const char *path);
void tape_symlink(struct tape *t, const char *path, const char *target);
void tape_hardlink(struct tape *t, const char *path, const char *target);
/* The archive, ended; the tape is empty after it. */
char *tape_bytes(struct tape *t, size_t *ret_len);
/* Unpacks the archive as a layer is; the tape is empty after it. */
int tape_unpack(struct fixture *f, struct tape *t, const char *dir);

int bytes_unpack(struct fixture *f, const void *data, size_t len, const char *dir);
/* A descriptor of an unnamed file with that content, at its start. */
int bytes_fd(const void *data, size_t len);

/* Runs a program that must succeed; its output goes to `out` unless that is NULL. */
void run_program(const char *const *argv, struct buf *out);
#define RUN(...) run_program((const char *const[]){__VA_ARGS__, NULL}, NULL)
/* The path of a name in the fixture's folder. */
char *below(struct fixture *f, const char *name);
/* How many entries a folder of the store has. */
int folder_count(struct fixture *f, const char *folder);

/* Seals what the archive holds as a layer: its diff_id. The tape is empty after it. */
char *tape_seal(struct fixture *f, struct tape *t);
/* Large enough that an imported layer's recipe leaves it to the folder. */
#define KEPT                                                                                       \
    "................................................................"                             \
    "................................................................"                             \
    "................................................................"                             \
    "................................................................"
/* An image of two layers, the second of which deletes, replaces and adds: its digest. */
char *make_image(struct fixture *f);

#endif
