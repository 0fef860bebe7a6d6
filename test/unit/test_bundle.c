/* Configurations of containers: that they mean what they did when run and builder printed one each.
 */
#include "cm.h"

#include <jansson.h>

#include "bundle/config.h"

static json_t *parsed(const char *text)
{
    json_error_t where;
    _cleanup_free_ char *copy = xstrdup(text);
    for (char *at = copy; (at = strchr(at, '\'')); at++)
        *at = '"';
    json_t *j = json_loads(copy, JSON_REJECT_DUPLICATES, &where);
    if (!j)
        fail_msg("%s at %d", where.text, where.column);
    return j;
}

static json_t *written(const struct bundle_config *c)
{
    struct err err;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    assert_ok(bundle_config_format(c, &text, &err), err);
    return parsed(text.ptr);
}

static json_t *at(json_t *j, const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    struct str rest = str_of(copy);
    while (rest.ptr) {
        struct str name = str_cut(&rest, '.');
        copy[name.ptr + name.len - copy] = '\0';
        j = json_object_get(j, name.ptr);
    }
    return j;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the order of a list says nothing in: as lists of sorted texts. */
static void assert_same_set(json_t *a, json_t *b)
{
    json_t *both[] = {a, b};
    char *texts[2][64];
    assert_int_equal(json_array_size(a), json_array_size(b));
    size_t n = json_array_size(a);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < n; i++)
            texts[k][i] = json_dumps(json_array_get(both[k], i), JSON_SORT_KEYS | JSON_ENCODE_ANY);
        qsort(texts[k], n, sizeof(char *), compare);
    }
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(texts[0][i], texts[1][i]);
        free(texts[0][i]);
        free(texts[1][i]);
    }
}

static bool has(json_t *list, json_t *item)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other) if (json_equal(item, other)) return true;
    return false;
}

static json_t *mount_at(json_t *config, const char *target)
{
    size_t i;
    json_t *m;
    json_array_foreach(
        json_object_get(config, "mounts"), i,
        m) if (streq(json_string_value(json_object_get(m, "destination")), target)) return m;
    return NULL;
}

/* ---- an instance ---- */

static const char instance_before[] =
    "{'ociVersion':'1.0.0','process':{'terminal':false,'user':{'uid':1000,'gid':1000,"
    "'additionalGids':[44]},'args':['/.davit-init','/x'],'env':["
    "'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin','HOME=/app',"
    "'PORT=5000','DAVIT_APP=shop','DAVIT_RELEASE=v7','DAVIT_PROCESS=web.2'],'cwd':'/app',"
    "'capabilities':{'bounding':[],'effective':[],'permitted':[]},'rlimits':["
    "{'type':'RLIMIT_NOFILE','soft':20000,'hard':20000},{'type':'RLIMIT_CORE','soft':0,"
    "'hard':0}],'noNewPrivileges':true},'root':{'path':'/run/rootfs'},"
    "'hostname':'shop-web-2','mounts':[{'destination':'/proc','type':'proc','source':'proc',"
    "'options':['nosuid','noexec','nodev']},{'destination':'/dev','type':'tmpfs',"
    "'source':'tmpfs','options':['nosuid','strictatime','mode=755','size=64k']},"
    "{'destination':'/dev/pts','type':'devpts','source':'devpts','options':['nosuid',"
    "'noexec','newinstance','ptmxmode=0666','mode=0620','gid=5']},{'destination':'/dev/shm',"
    "'type':'tmpfs','source':'tmpfs','options':['nosuid','noexec','nodev','mode=1777',"
    "'size=64m']},{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue','options':["
    "'nosuid','noexec','nodev']},{'destination':'/sys','type':'bind','options':['bind',"
    "'nosuid','noexec','nodev','ro'],'source':'/run/sysfs'}],'linux':{'uidMappings':["
    "{'containerID':0,'hostID':1879048192,'size':65536}],'gidMappings':[{'containerID':0,"
    "'hostID':1879048192,'size':65536}],'namespaces':[{'type':'user','path':'/run/userns'},"
    "{'type':'pid'},{'type':'mount'},{'type':'ipc'},{'type':'uts'},{'type':'cgroup'}],"
    "'maskedPaths':['/proc/acpi','/proc/asound','/proc/interrupts','/proc/kcore',"
    "'/proc/keys','/proc/latency_stats','/proc/sched_debug','/proc/scsi','/proc/timer_list',"
    "'/proc/timer_stats','/sys/devices/virtual/powercap','/sys/firmware'],'readonlyPaths':["
    "'/proc/bus','/proc/fs','/proc/irq','/proc/sys','/proc/sysrq-trigger'],"
    "'seccomp':{'defaultAction':'SCMP_ACT_ERRNO'}}}";

static struct bundle_config instance(struct map *env)
{
    static const char *const argv[] = {"/.davit-init", "/x", NULL};
    static const uint32_t groups[] = {44};
    map_set(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(env, "HOME", "/app");
    map_set(env, "PORT", "5000");
    map_set(env, "DAVIT_APP", "shop");
    map_set(env, "DAVIT_RELEASE", "v7");
    map_set(env, "DAVIT_PROCESS", "web.2");
    return (struct bundle_config){.root = "/run/rootfs",
                                  .hostname = "shop-web-2",
                                  .cwd = "/app",
                                  .userns = "/run/userns",
                                  .uid_base = 1879048192,
                                  .uid = 1000,
                                  .gid = 1000,
                                  .groups = groups,
                                  .n_groups = 1,
                                  .argv = argv,
                                  .env = env,
                                  .sysfs = "/run/sysfs",
                                  .open_files = 20000,
                                  .profile = STR("{\"defaultAction\":\"SCMP_ACT_ERRNO\"}")};
}

/* The lists whose order means nothing are compared apart; the umask said now is crun's default. */
static void an_instance_is_what_it_was(void **state)
{
    (void)state;
    _cleanup_(map_release) struct map env = {0};
    struct bundle_config c = instance(&env);
    json_t *now = written(&c), *before = parsed(instance_before);
    static const char *const sets[] = {"process.rlimits", "linux.namespaces", "linux.maskedPaths",
                                       "linux.readonlyPaths"};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        assert_same_set(at(now, sets[i]), at(before, sets[i]));
        json_array_clear(at(now, sets[i]));
        json_array_clear(at(before, sets[i]));
    }
    size_t i;
    json_t *m;
    json_array_foreach(at(before, "mounts"), i, m)
    {
        json_t *other = json_array_get(at(now, "mounts"), i);
        assert_same_set(at(other, "options"), at(m, "options"));
        json_object_del(other, "options");
        json_object_del(m, "options");
    }
    assert_int_equal(json_integer_value(at(now, "process.user.umask")), 022);
    json_object_del(at(now, "process.user"), "umask");
    json_object_del(at(before, "process"), "terminal"); /* false is the default */
    json_object_del(now, "ociVersion");
    json_object_del(before, "ociVersion");
    char *texts[] = {json_dumps(now, JSON_SORT_KEYS), json_dumps(before, JSON_SORT_KEYS)};
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
    json_decref(now);
    json_decref(before);
}

/* ---- what is granted ---- */

static void each_grant_adds_its_capabilities_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        unsigned grants;
        size_t n;
        const char *one;
    } cases[] = {
        {0, 0, NULL},
        {GRANT_ROOT, 8, "CAP_SETUID"},
        {GRANT_LOW_PORTS, 1, "CAP_NET_BIND_SERVICE"},
        {GRANT_ROOT | GRANT_LOW_PORTS, 9, "CAP_CHOWN"},
        {GRANT_INSTALL, 2, "CAP_SETFCAP"},
        {GRANT_CONTAINERS, 3, "CAP_SYS_ADMIN"},
        {GRANT_ROOT | GRANT_INSTALL | GRANT_CONTAINERS | GRANT_LOW_PORTS, 14, "CAP_MKNOD"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(map_release) struct map env = {0};
        struct bundle_config c = instance(&env);
        c.grants = cases[i].grants;
        json_t *now = written(&c), *name = json_string(cases[i].one ? cases[i].one : "");
        static const char *const sets[] = {"bounding", "effective", "permitted"};
        json_t *all = at(now, "process.capabilities");
        assert_int_equal(json_object_size(all), 3); /* none is inherited or ambient */
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(json_array_size(at(all, sets[k])), cases[i].n);
            assert_int_equal(has(at(all, sets[k]), name), cases[i].one != NULL);
        }
        assert_true(json_is_true(at(now, "process.noNewPrivileges")));
        json_decref(name);
        json_decref(now);
    }
}

static void containers_of_its_own_widen_the_profile(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(buf_release) struct buf plain = BUF_INIT, wide = BUF_INIT;
    struct config c = {.data = (char *)DAVIT_SOURCE "/data"};
    assert_ok(bundle_profile(&c, GRANT_ROOT | GRANT_INSTALL, &plain, &err), err);
    assert_ok(bundle_profile(&c, GRANT_CONTAINERS, &wide, &err), err);
    json_t *one = parsed(plain.ptr), *two = parsed(wide.ptr);
    size_t n = json_array_size(at(one, "syscalls"));
    assert_true(json_array_size(at(two, "syscalls")) > n);
    while (json_array_size(at(two, "syscalls")) > n)
        json_array_remove(at(two, "syscalls"), n);
    assert_true(json_equal(one, two));
    json_decref(one);
    json_decref(two);
}

/* ---- a build ---- */

static const char build_before[] =
    "{'ociVersion':'1.0.2','root':{'path':'rootfs'},'hostname':'build',"
    "'process':{'user':{'uid':0,'gid':0,'umask':18},'cwd':'/','rlimits':["
    "{'type':'RLIMIT_CORE','soft':0,'hard':0},{'type':'RLIMIT_FSIZE','soft':8192,"
    "'hard':8192}],'noNewPrivileges':true,'oomScoreAdj':500,'capabilities':{'bounding':["
    "'CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_FOWNER','CAP_FSETID','CAP_KILL','CAP_SETGID',"
    "'CAP_SETUID','CAP_SETPCAP','CAP_SETFCAP','CAP_SYS_CHROOT','CAP_SYS_ADMIN','CAP_MKNOD',"
    "'CAP_NET_BIND_SERVICE','CAP_AUDIT_WRITE'],'effective':['CAP_CHOWN','CAP_DAC_OVERRIDE',"
    "'CAP_FOWNER','CAP_FSETID','CAP_KILL','CAP_SETGID','CAP_SETUID','CAP_SETPCAP',"
    "'CAP_SETFCAP','CAP_SYS_CHROOT','CAP_SYS_ADMIN','CAP_MKNOD','CAP_NET_BIND_SERVICE',"
    "'CAP_AUDIT_WRITE'],'permitted':['CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_FOWNER',"
    "'CAP_FSETID','CAP_KILL','CAP_SETGID','CAP_SETUID','CAP_SETPCAP','CAP_SETFCAP',"
    "'CAP_SYS_CHROOT','CAP_SYS_ADMIN','CAP_MKNOD','CAP_NET_BIND_SERVICE','CAP_AUDIT_WRITE']},"
    "'args':['buildah','bud'],'env':['A=1']},'mounts':[{'type':'proc','source':'proc',"
    "'destination':'/proc'},{'type':'tmpfs','source':'tmpfs','destination':'/dev','options':["
    "'nosuid','strictatime','mode=755','size=65536k']},{'type':'devpts','source':'devpts',"
    "'destination':'/dev/pts','options':['nosuid','noexec','newinstance','ptmxmode=0666',"
    "'mode=0620']},{'type':'tmpfs','source':'shm','destination':'/dev/shm','options':["
    "'nosuid','nodev','mode=1777','size=65536k']},{'type':'tmpfs','source':'tmpfs',"
    "'destination':'/tmp','options':['nosuid','nodev','noexec','mode=1777','size=64m']},"
    "{'type':'bind','source':'/h/work','destination':'/var/tmp','options':['rbind','nosuid',"
    "'nodev','rw']},{'type':'bind','source':'/h/layouts','destination':'/stacks','options':["
    "'rbind','nosuid','nodev','ro']}],'linux':{'namespaces':[{'type':'pid'},{'type':'mount'},"
    "{'type':'ipc'},{'type':'uts'},{'type':'cgroup'},{'type':'user','path':'/h/userns'}],"
    "'uidMappings':[{'containerID':0,'hostID':100000,'size':65536}],'gidMappings':["
    "{'containerID':0,'hostID':100000,'size':65536}],'seccomp':{},'maskedPaths':["
    "'/proc/acpi','/proc/kcore','/proc/keys','/proc/latency_stats','/proc/timer_list',"
    "'/proc/timer_stats','/proc/sched_debug','/proc/scsi'],'readonlyPaths':['/proc/bus',"
    "'/proc/fs','/proc/irq','/proc/sys','/proc/sysrq-trigger']}}";

/* Everything that was masked is, every option of a mount is there, no capability came. */
static void a_build_is_only_more_strict_than_it_was(void **state)
{
    (void)state;
    static const char *const argv[] = {"buildah", "bud", NULL};
    const struct bundle_mount mounts[] = {
        {NULL, "/tmp", true}, {"/h/work", "/var/tmp", true}, {"/h/layouts", "/stacks", false}};
    _cleanup_(map_release) struct map env = {0};
    map_set(&env, "A", "1");
    struct bundle_config c = {.root = "rootfs",
                              .hostname = "build",
                              .cwd = "/",
                              .userns = "/h/userns",
                              .uid_base = 100000,
                              .argv = argv,
                              .env = &env,
                              .mounts = mounts,
                              .n_mounts = 3,
                              .file_max = 8192,
                              .oom_score_adj = 500,
                              .grants =
                                  GRANT_ROOT | GRANT_INSTALL | GRANT_CONTAINERS | GRANT_LOW_PORTS,
                              .profile = STR("{}")};
    json_t *now = written(&c), *before = parsed(build_before), *item;
    size_t i, k;
    static const char *const sets[] = {"linux.maskedPaths", "linux.readonlyPaths",
                                       "linux.namespaces"};
    for (size_t s = 0; s < ARRAY_LEN(sets); s++)
        json_array_foreach(at(before, sets[s]), i, item) assert_true(has(at(now, sets[s]), item));
    assert_same_set(at(now, "process.rlimits"), at(before, "process.rlimits"));
    assert_same_set(at(now, "process.capabilities.bounding"),
                    at(before, "process.capabilities.bounding"));
    static const char *const same[] = {
        "process.args",     "process.env", "process.cwd", "process.oomScoreAdj",
        "process.user.uid", "hostname",    "root",        "linux.uidMappings",
        "linux.gidMappings"};
    for (size_t s = 0; s < ARRAY_LEN(same); s++)
        assert_true(json_equal(at(now, same[s]), at(before, same[s])));
    json_array_foreach(at(before, "mounts"), i, item)
    {
        json_t *m = mount_at(now, json_string_value(at(item, "destination"))), *option;
        assert_non_null(m);
        assert_string_equal(json_string_value(at(m, "type")), json_string_value(at(item, "type")));
        json_array_foreach(at(item, "options"), k,
                           option) if (strncmp(json_string_value(option), "size=", 5) != 0)
            assert_true(has(at(m, "options"), option));
    }
    assert_null(mount_at(now, "/sys"));
    json_decref(now);
    json_decref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_is_what_it_was),
        cmocka_unit_test(each_grant_adds_its_capabilities_and_nothing_else),
        cmocka_unit_test(containers_of_its_own_widen_the_profile),
        cmocka_unit_test(a_build_is_only_more_strict_than_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
