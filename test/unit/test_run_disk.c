/* Writable layers that are set aside, and whose they were. */
#include "cm.h"

#include "os/file.h"
#include "run/disk.h"

static int removed;
static void on_removed(void *ctx)
{
    (void)ctx;
    removed++;
}

static void make_layer(const struct config *c, const char *path)
{
    _cleanup_free_ char *dir = path_join(c->state, "instances/%s", path);
    _cleanup_free_ char *file = path_join(dir, "file");
    assert_int_equal(dir_make(dir, 0755, NULL), 0);
    assert_int_equal(file_replace(file, STR("x"), 0644, NULL), 0);
}

/* One app's removals are not another's; what a former version set aside may be anybody's. */
static void each_app_waits_for_its_own_removals(void **state)
{
    (void)state;
    char root[] = "/tmp/test_run_disk.XXXXXX";
    struct config c;
    uv_loop_t loop;
    assert_non_null(mkdtemp(root));
    assert_int_equal(config_parse(root, STR(""), &c, NULL), 0);
    uv_loop_init(&loop);
    struct disk now = {.removed = on_removed}, later = now, former = now;
    _cleanup_free_ char *layer = path_join(c.state, "instances/shop/web/v1.g0.1");
    make_layer(&c, "shop/web/v1.g0.1");
    assert_int_equal(disk_open(&now, &loop, &c, NULL), 0);
    disk_set_aside(&now, "shop", layer);
    assert_true(disk_is_removing(&now, "shop"));
    assert_false(disk_is_removing(&now, "sho"));
    assert_false(disk_is_removing(&now, "other"));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(disk_is_removing(&now, "shop"));
    assert_int_equal(removed, 1);

    make_layer(&c, ".gone/other.0123456789abcdef");
    assert_int_equal(disk_open(&later, &loop, &c, NULL), 0);
    assert_true(disk_is_removing(&later, "other"));
    assert_false(disk_is_removing(&later, "shop"));
    uv_run(&loop, UV_RUN_DEFAULT);

    make_layer(&c, ".gone/0123456789abcdef");
    assert_int_equal(disk_open(&former, &loop, &c, NULL), 0);
    assert_true(disk_is_removing(&former, "shop"));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(disk_is_removing(&former, "shop"));

    struct disk *all[] = {&now, &later, &former};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        free(all[i]->instances);
        free(all[i]->gone);
    }
    uv_loop_close(&loop);
    dir_remove(root, NULL);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_app_waits_for_its_own_removals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
