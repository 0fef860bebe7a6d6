/* What is collected, and what is kept. */
#include "test_image_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/digest.h"
#include "os/file.h"

static void the_collector_takes_what_nothing_reaches(void **state)
{
    struct fixture *f = *state;
    struct image_gc_stats gone;
    struct strv keep = {0};
    _cleanup_(image_release) struct image got = {0};
    _cleanup_free_ char *first = make_image(f);
    struct tape t = {0};
    struct image i = {0};
    char *second;
    tape_file(&t, "other", "1");
    strv_take(&i.diff_ids, tape_seal(f, &t));
    assert_ok(image_write(f->store, &i, &second, &f->err), f->err);
    /* Too young. */
    assert_ok(image_gc(f->store, NULL, 3600, &gone, &f->err), f->err);
    assert_int_equal(gone.images + gone.layers, 0);
    /* One is named, the other kept. */
    assert_ok(image_ref_set(f->store, "name", first, &f->err), f->err);
    strv_add(&keep, second);
    assert_ok(image_gc(f->store, &keep, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.images + gone.layers, 0);
    assert_ok(image_get(f->store, "name", &got, &f->err), f->err);
    /* What this store did not make stays. */
    _cleanup_free_ char *strange = below(f, "layers/strange"),
                        *note = below(f, "blobs/sha256/note");
    assert_ok(dir_make(strange, 0755, &f->err), f->err);
    assert_ok(file_replace(note, STR("x"), 0644, &f->err), f->err);
    assert_ok(image_gc(f->store, NULL, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.images, 1);
    assert_int_equal(gone.layers, 1);
    assert_true(gone.bytes > 0);
    image_release(&got);
    assert_err(image_get(f->store, second, &got, &f->err), ERR_NOT_FOUND);
    assert_ok(image_get(f->store, first, &got, &f->err), f->err);
    assert_ok(image_ref_set(f->store, "name", NULL, &f->err), f->err);
    assert_ok(image_gc(f->store, NULL, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.layers, 2);
    assert_int_equal(folder_count(f, "layers"), 1);
    assert_int_equal(folder_count(f, "blobs/sha256"), 1);
    assert_folder_empty(f, "tmp");
    strv_release(&keep);
    strv_release(&i.diff_ids);
    free(second);
}

/* What only it had, whatever its age; not what others have, nor what is theirs. */
static void an_image_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct image_gc_stats gone;
    struct strv ids = {0}, keep = {0};
    _cleanup_(image_release) struct image got = {0};
    _cleanup_free_ char *first = make_image(f), *loose = NULL;
    struct tape t = {0};
    struct image i = {0};
    char *second;
    assert_ok(image_get(f->store, first, &got, &f->err), f->err);
    size_t shared = got.diff_ids.n;
    for (size_t k = 0; k < shared; k++)
        strv_add(&i.diff_ids, got.diff_ids.items[k]);
    tape_file(&t, "own", "1");
    strv_take(&i.diff_ids, tape_seal(f, &t));
    assert_ok(image_write(f->store, &i, &second, &f->err), f->err);
    tape_file(&t, "loose", "1");
    loose = tape_seal(f, &t);
    tape_file(&t, "another's", "1");
    free(tape_seal(f, &t));
    strv_add(&ids, second);
    strv_add(&ids, loose);
    strv_add(&ids, "sha256:nonsense");
    strv_add(&keep, first);
    assert_ok(image_drop(f->store, &ids, &keep, 3600, &gone, &f->err), f->err);
    assert_int_equal(gone.images + gone.layers, 0);
    assert_ok(image_drop(f->store, &ids, &keep, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.images, 1);
    assert_int_equal(gone.layers, 2);
    assert_int_equal(folder_count(f, "layers"),
                     2 * (shared + 1)); /* folders and what describes them */
    assert_ok(image_drop(f->store, &ids, &keep, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.images + gone.layers, 0);
    strv_release(&ids);
    strv_release(&keep);
    strv_release(&i.diff_ids);
    free(second);
}

static void use_restarts_the_grace(void **state)
{
    struct fixture *f = *state;
    struct image_gc_stats gone;
    struct tape t = {0};
    tape_file(&t, "f", "1");
    _cleanup_free_ char *id = tape_seal(f, &t);
    _cleanup_free_ char *info = xasprintf("%s/layers/%s.tar", f->dir, digest_hex(id));
    struct timespec later[2] = {{time(NULL) + 1000, 0}, {time(NULL) + 1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, info, later, 0), 0);
    assert_ok(image_gc(f->store, NULL, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.layers, 0);
    /* Sealed again, it was used now, not later. */
    tape_file(&t, "f", "1");
    free(tape_seal(f, &t));
    assert_ok(image_gc(f->store, NULL, -10, &gone, &f->err), f->err);
    assert_int_equal(gone.layers, 1);
    assert_false(path_exists(info));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(the_collector_takes_what_nothing_reaches),
        fixture_test(an_image_is_dropped),
        fixture_test(use_restarts_the_grace),
    };
    return cmocka_run_group_tests_name("image_collection", tests, NULL, NULL);
}
