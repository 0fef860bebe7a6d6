/* What an instance is started from: users and files of an image, config.json, spec, names. */
#include "cm.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bundle/config.h"
#include "os/file.h"
#include "run/fleet.h"
#include "run/rootfs.h"
#include "run/spec.h"

/* ---- an image of two layers in a temporary folder ---- */

static char folder[] = "/tmp/davit-run-XXXXXX";
static struct strv layers;

static void put(const char *layer, const char *path, const char *text)
{
    struct err err;
    _cleanup_free_ char *file = xasprintf("%s/%s/%s", folder, layer, path);
    _cleanup_free_ char *dir = xstrdup(file);
    *strrchr(dir, '/') = '\0';
    assert_ok(dir_make(dir, 0755, &err), err);
    assert_ok(file_replace(file, str_of(text), 0644, &err), err);
}

static void put_link(const char *layer, const char *path, const char *target)
{
    _cleanup_free_ char *link = xasprintf("%s/%s/%s", folder, layer, path);
    assert_int_equal(symlink(target, link), 0);
}

static int make_image(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    put("base", "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\n"
        "app:x:1000:1000::/app:/bin/bash\n"
        "broken line\n"
        "big:x:70000:1000::/:/bin/sh\n"
        "nohome:x:33:33:::/bin/sh");
    put("base", "etc/group", "root:x:0:\napp:x:1000:\nmedia:x:44:other,app\nwheel:x:10:app2\n");
    put("base", "usr/bin/bash", "");
    put_link("base", "bin", "usr/bin");
    put_link("base", "escape", "../../../../../../etc");
    put("base", "gone", "");
    put("top", "app/.profile.d/node.sh", "export A=1\n");
    put_link("top", "absolute", "/app/.profile.d");
    _cleanup_free_ char *whiteout = xasprintf("%s/top/gone", folder);
    assert_int_equal(mknod(whiteout, S_IFCHR, makedev(0, 0)), 0);
    strv_addf(&layers, "%s/base", folder);
    strv_addf(&layers, "%s/top", folder);
    return 0;
}

static int remove_image(void **state)
{
    (void)state;
    strv_release(&layers);
    return dir_remove(folder, NULL);
}

/* ---- layers ---- */

static void files_are_found_in_the_topmost_layer(void **state)
{
    (void)state;
    assert_true(rootfs_has(&layers, "bin/bash")); /* through a link inside the layer */
    assert_true(rootfs_has(&layers, "app/.profile.d"));
    assert_true(rootfs_has(&layers, "/app/.profile.d/node.sh"));
    assert_true(rootfs_has(&layers, "absolute/node.sh"));
    assert_false(rootfs_has(&layers, "bin/zsh"));
    assert_false(rootfs_has(&layers, "gone")); /* deleted by the upper layer */
}

static void no_link_leads_out_of_an_image(void **state)
{
    (void)state;
    assert_true(path_exists("/etc/hostname") || path_exists("/etc/hosts"));
    assert_false(rootfs_has(&layers, "escape/hostname"));
    assert_false(rootfs_has(&layers, "escape/hosts"));
    assert_false(rootfs_has(&layers, "../../../etc/hosts"));
    assert_true(rootfs_has(&layers, "escape/passwd")); /* the image's own */
}

static void users_by_name_and_number(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        uint32_t uid, gid;
        const char *home;
        size_t groups;
    } cases[] = {
        {"", 0, 0, "/root", 0},
        {"root", 0, 0, "/root", 0},
        {"app", 1000, 1000, "/app", 1},
        {"1000", 1000, 1000, "/app", 1},
        {"app:media", 1000, 44, "/app", 0},
        {"1000:7", 1000, 7, "/app", 0},
        {"nohome", 33, 33, "/", 0},
        {"4242", 4242, 0, "/", 0},
        {"4242:media", 4242, 44, "/", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        _cleanup_(rootfs_user_release) struct rootfs_user u = {0};
        assert_ok(rootfs_user(&layers, cases[i].user, &u, &err), err);
        assert_int_equal(u.uid, cases[i].uid);
        assert_int_equal(u.gid, cases[i].gid);
        assert_string_equal(u.home, cases[i].home);
        assert_int_equal(u.n_groups, cases[i].groups);
        if (u.n_groups)
            assert_int_equal(u.groups[0], 44);
    }
}

static void unknown_users_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"nobody9", "app:nogroup9", "big", "70000", "1:70000", "-1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err;
        struct rootfs_user u = {0};
        assert_err(rootfs_user(&layers, wrong[i], &u, &err), ERR_UNPROCESSABLE);
    }
}

/* ---- config.json ---- */

struct scene {
    struct config config;
    struct network network;
    struct image image;
    struct release release;
    struct process process;
    struct map vars;
    struct launch launch;
};

static void scene_init(struct scene *s)
{
    struct err err;
    *s = (struct scene){.network = {.bridge = "davit-1a2b3c", .base = 0x0ad20000}};
    assert_ok(config_parse("/srv/d", STR(""), &s->config, &err), err);
    s->release.number = 7;
    s->process.type = xstrdup("web");
    s->launch = (struct launch){.config = &s->config,
                                .network = &s->network,
                                .seccomp = "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}",
                                .image = &s->image,
                                .layers = &layers,
                                .release = &s->release,
                                .process = &s->process,
                                .vars = &s->vars,
                                .app = "shop",
                                .id = "v7.g0.2",
                                .index = 2,
                                .host = 0x0305,
                                .run_dir = "/run/x",
                                .rootfs = "/run/rootfs",
                                .sysfs = "/run/sysfs",
                                .userns = "/run/userns",
                                .disk = "/disk/x"};
}

static void scene_release(struct scene *s)
{
    config_release(&s->config);
    image_release(&s->image);
    release_release(&s->release);
    process_release(&s->process);
    map_release(&s->vars);
}

static json_t *config_of(struct scene *s)
{
    struct err err;
    json_error_t where;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    assert_ok(launch_config(&s->launch, &text, &err), err);
    json_t *j = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &where);
    if (!j)
        fail_msg("config.json: %s at %d", where.text, where.column);
    return j;
}

/* The array of strings at process.NAME, joined by '|'. */
static char *joined(json_t *config, const char *name)
{
    json_t *process = json_object_get(config, "process");
    json_t *list = !strcmp(name, "bounding")
                       ? json_object_get(json_object_get(process, "capabilities"), name)
                       : json_object_get(process, name);
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_addf(&b, "%s%s", i ? "|" : "", json_string_value(json_array_get(list, i)));
    return buf_take(&b);
}

static void what_is_executed(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    s.process.command = xstrdup("node \"a b\".js && echo $PORT");
    json_t *j = config_of(&s);
    _cleanup_free_ char *args = joined(j, "args");
    assert_contains(args, "/.davit-init|/bin/bash|-c|for f in \"$HOME\"/.profile.d/*.sh");
    assert_contains(args, "exec /bin/bash -c \"$0\"|node \"a b\".js && echo $PORT");
    json_decref(j);

    map_set(&s.vars, "HOME", "/nowhere"); /* no profile there: one shell is enough */
    j = config_of(&s);
    _cleanup_free_ char *plain = joined(j, "args");
    assert_string_equal(plain, "/.davit-init|/bin/bash|-c|node \"a b\".js && echo $PORT");
    json_decref(j);

    free(s.process.command);
    s.process.command = NULL;
    strv_add(&s.image.entrypoint, "/entry");
    strv_add(&s.image.cmd, "serve");
    j = config_of(&s);
    _cleanup_free_ char *image = joined(j, "args");
    assert_string_equal(image, "/.davit-init|/entry|serve");
    json_decref(j);

    strv_add(&s.process.argv, "/own");
    j = config_of(&s);
    _cleanup_free_ char *own = joined(j, "args");
    assert_string_equal(own, "/.davit-init|/own");
    json_decref(j);
    scene_release(&s);
}

/* Images whose program is an init get no second one in front; Dockerfiles may say so too. */
static void what_is_first(void **state)
{
    (void)state;
    static const struct {
        const char *program, *setting, *args;
    } cases[] = {
        {"/usr/bin/node", "", "/.davit-init|/usr/bin/node"},
        {"/usr/bin/node", "DAVIT_INIT=on", "/.davit-init|/usr/bin/node"},
        {"/usr/bin/node", "DAVIT_INIT=off", "/usr/bin/node"},
        {"/init", "", "/init"},
        {"/sbin/init", "", "/sbin/init"},
        {"tini", "", "tini"},
        {"/usr/bin/dumb-init", "", "/usr/bin/dumb-init"},
        {"/app/initialise", "", "/.davit-init|/app/initialise"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;
        scene_init(&s);
        strv_add(&s.image.entrypoint, cases[i].program);
        strv_add(&s.image.env, cases[i].setting);
        json_t *j = config_of(&s);
        _cleanup_free_ char *args = joined(j, "args");
        assert_string_equal(args, cases[i].args);
        json_decref(j);
        scene_release(&s);
    }
}

static void without_bash_the_shell_is_sh(void **state)
{
    (void)state;
    struct scene s;
    struct strv none = {0};
    scene_init(&s);
    s.launch.layers = &none;
    s.process.command = xstrdup("x");
    s.process.user = xstrdup("5:6");
    json_t *j = config_of(&s);
    _cleanup_free_ char *args = joined(j, "args");
    assert_string_equal(args, "/.davit-init|/bin/sh|-c|x");
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "process"), "cwd")),
                        "/");
    json_decref(j);
    scene_release(&s);
}

static void nothing_to_run_is_an_error(void **state)
{
    (void)state;
    struct scene s;
    struct err err;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    scene_init(&s);
    assert_err(launch_config(&s.launch, &text, &err), ERR_UNPROCESSABLE);
    scene_release(&s);
}

static void the_environment_has_an_order_of_who_wins(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    strv_add(&s.process.argv, "/x");
    strv_add(&s.image.env, "PATH=/image");
    strv_add(&s.image.env, "A=image");
    strv_add(&s.image.env, "B=image");
    strv_add(&s.image.env, "EMPTY=");
    map_set(&s.vars, "A", "config\n\"x\"");
    map_set(&s.vars, "PORT", "1");
    s.release.commit = xstrdup("abc");
    json_t *j = config_of(&s);
    _cleanup_free_ char *env = joined(j, "env");
    assert_string_equal(env, "PATH=/image|HOME=/app|A=config\n\"x\"|B=image|EMPTY=|PORT=5000|"
                             "DAVIT_APP=shop|DAVIT_RELEASE=v7|DAVIT_PROCESS=web.2|GIT_REV=abc");
    json_decref(j);
    scene_release(&s);
}

static int64_t id_of(json_t *config, const char *which)
{
    json_t *user = json_object_get(json_object_get(config, "process"), "user");
    return json_integer_value(json_object_get(user, which));
}

static void whom_it_runs_as_and_what_that_may_do(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    strv_add(&s.process.argv, "/x");
    json_t *j = config_of(&s); /* nobody says anything: `app` */
    _cleanup_free_ char *none = joined(j, "bounding");
    assert_int_equal(id_of(j, "uid"), 1000);
    assert_string_equal(none, "");
    json_decref(j);

    s.image.user = xstrdup("root");
    j = config_of(&s);
    _cleanup_free_ char *some = joined(j, "bounding");
    assert_int_equal(id_of(j, "uid"), 0);
    assert_contains(some, "CAP_SETUID");
    assert_null(strstr(some, "CAP_SYS_ADMIN"));
    assert_null(strstr(some, "CAP_NET_RAW"));
    json_decref(j);

    s.process.user = xstrdup("nohome");
    j = config_of(&s);
    assert_int_equal(id_of(j, "uid"), 33);
    json_decref(j);
    scene_release(&s);
}

static void every_instance_has_the_walls(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    strv_add(&s.process.argv, "/x");
    json_t *j = config_of(&s), *ns, *linux_ = json_object_get(j, "linux");
    json_t *process = json_object_get(j, "process");
    size_t i, user = 0, network = 0;
    json_array_foreach(json_object_get(linux_, "namespaces"), i, ns)
    {
        const char *type = json_string_value(json_object_get(ns, "type"));
        user += streq(type, "user") &&
                streq(json_string_value(json_object_get(ns, "path")), "/run/userns");
        network += streq(type, "network");
    }
    assert_int_equal(user, 1);
    assert_int_equal(network, 0); /* the shim's is inherited */
    assert_int_equal(json_array_size(json_object_get(linux_, "namespaces")), 6);
    assert_true(json_is_true(json_object_get(process, "noNewPrivileges")));
    assert_null(json_object_get(linux_, "cgroupsPath")); /* the group is the shim's */
    json_t *map = json_array_get(json_object_get(linux_, "uidMappings"), 0);
    assert_int_equal(json_integer_value(json_object_get(map, "hostID")), 1879048192);
    assert_non_null(json_object_get(linux_, "seccomp"));
    struct rlimit l;
    getrlimit(RLIMIT_NOFILE, &l);
    json_t *files = json_array_get(json_object_get(process, "rlimits"), 0);
    assert_true((rlim_t)json_integer_value(json_object_get(files, "hard")) <= l.rlim_max);
    json_decref(j);
    scene_release(&s);
}

/* A check's command is what the app is, but for what it executes. */
static void a_command_of_an_instance(void **state)
{
    (void)state;
    struct scene s;
    struct err err;
    _cleanup_(strv_release) struct strv command = {0};
    _cleanup_(buf_release) struct buf config = BUF_INIT, process = BUF_INIT;
    scene_init(&s);
    strv_add(&s.process.argv, "/x");
    strv_add(&command, "test");
    strv_add(&command, "\"a\"");
    assert_ok(launch_config(&s.launch, &config, &err), err);
    assert_ok(bundle_process(buf_str(&config), &command, &process, &err), err);
    json_t *all = config_of(&s), *app = json_object_get(all, "process");
    json_t *check = json_loadb(process.ptr, process.len, 0, NULL), *args;
    assert_non_null(check);
    args = json_object_get(check, "args");
    assert_int_equal(json_array_size(args), 2);
    assert_string_equal(json_string_value(json_array_get(args, 1)), "\"a\"");
    json_object_del(check, "args");
    json_object_del(app, "args");
    assert_true(json_equal(check, app));
    json_decref(check);
    json_decref(all);
    assert_err(bundle_process(STR("{}"), &command, &process, &err), ERR_INVALID);
    scene_release(&s);
}

/* ---- the shim's spec ---- */

static void the_spec_says_what_the_release_says(void **state)
{
    (void)state;
    struct scene s;
    struct err err;
    scene_init(&s);
    s.image.stop_signal = xstrdup("SIGQUIT");
    _cleanup_(buf_release) struct buf spec = BUF_INIT;
    assert_ok(launch_spec(&s.launch, &spec, &err), err);
    assert_contains(spec.ptr, "name shop.web.v7.g0.2\napp shop\nprocess web.2\nlayer ");
    assert_contains(
        spec.ptr,
        "\nupper /disk/x/upper\nwork /disk/x/work\nrootfs /run/rootfs\n"
        "sysfs /run/sysfs\nuserns /run/userns\nuid_base 1879048192\nuid_owner 1879114501\n");
    assert_contains(spec.ptr, "\nbridge davit-1a2b3c\nip 10.210.3.5/16\ngateway 10.210.0.1\n"
                              "hostif dv1a2b3c-0305\n");
    _cleanup_free_ char *group =
        xasprintf("\ncgroup %s/shop.web.v7.g0.2\nmemory %d\n", s.config.bridge, 512 << 20);
    assert_contains(spec.ptr, group);
    assert_contains(spec.ptr, "\nlog /srv/d/var/log/davit/shop/web.2.log\n");
    assert_contains(spec.ptr, "\nsignal 3\nrestart always\n");

    free(s.process.type);
    s.process.type = xstrdup("release");
    buf_reset(&spec);
    assert_ok(launch_spec(&s.launch, &spec, &err), err);
    assert_contains(spec.ptr, "\nrestart no\n");
    scene_release(&s);
}

static void stop_signals_by_name_and_number(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } cases[] = {{"", "signal 15\n"},   {"SIGINT", "signal 2\n"},
                 {"int", "signal 2\n"}, {"9", "signal 9\n"},
                 {"SIGNOPE", NULL},     {"0", NULL},
                 {"65", NULL},          {"SIG", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;
        struct err err;
        _cleanup_(buf_release) struct buf spec = BUF_INIT;
        scene_init(&s);
        s.process.stop_signal = xstrdup(cases[i].text);
        int r = launch_spec(&s.launch, &spec, &err);
        if (cases[i].line) {
            assert_int_equal(r, 0);
            assert_contains(spec.ptr, cases[i].line);
        } else {
            assert_int_equal(r, -ERR_UNPROCESSABLE);
        }
        scene_release(&s);
    }
}

/* ---- names ---- */

static void ids_go_both_ways(void **state)
{
    (void)state;
    int64_t r, g, i;
    assert_true(instance_id_parse("v12.g3.45", &r, &g, &i));
    assert_int_equal(r, 12);
    assert_int_equal(g, 3);
    assert_int_equal(i, 45);
    _cleanup_free_ char *id = instance_id(12, 3, 45);
    assert_string_equal(id, "v12.g3.45");
    static const char *const wrong[] = {"",         "v1",        "v1.g0",     "v1.g0.",   "v1.g0.0",
                                        "v0.g0.1",  "1.0.1",     "v1.g0.1.2", "v-1.g0.1", "vx.g0.1",
                                        "v1.g0.1 ", "v1.g0.1e5", "g0.v1.1"};
    for (size_t n = 0; n < ARRAY_LEN(wrong); n++)
        assert_false(instance_id_parse(wrong[n], &r, &g, &i));
}

static void addresses_are_given_once(void **state)
{
    (void)state;
    struct network n = {.bridge = "davit0", .base = 0x0ad20000};
    char text[NETWORK_TEXT];
    network_address(&n, 0xfffe, text);
    assert_string_equal(text, "10.210.255.254");
    assert_int_equal(network_host(text), 0xfffe);
    assert_int_equal(network_host("nonsense"), 0);
    _cleanup_free_ char *hostif = network_hostif(&n, 7);
    assert_string_equal(hostif, "dv0-0007");
    n.bridge = "a-bridge-of-15c";
    _cleanup_free_ char *longest = network_hostif(&n, 65534);
    assert_true(strlen(longest) <= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_in_the_topmost_layer),
        cmocka_unit_test(no_link_leads_out_of_an_image),
        cmocka_unit_test(users_by_name_and_number),
        cmocka_unit_test(unknown_users_are_refused),
        cmocka_unit_test(what_is_executed),
        cmocka_unit_test(what_is_first),
        cmocka_unit_test(without_bash_the_shell_is_sh),
        cmocka_unit_test(nothing_to_run_is_an_error),
        cmocka_unit_test(the_environment_has_an_order_of_who_wins),
        cmocka_unit_test(whom_it_runs_as_and_what_that_may_do),
        cmocka_unit_test(every_instance_has_the_walls),
        cmocka_unit_test(a_command_of_an_instance),
        cmocka_unit_test(the_spec_says_what_the_release_says),
        cmocka_unit_test(stop_signals_by_name_and_number),
        cmocka_unit_test(ids_go_both_ways),
        cmocka_unit_test(addresses_are_given_once),
    };
    return cmocka_run_group_tests(tests, make_image, remove_image);
}
