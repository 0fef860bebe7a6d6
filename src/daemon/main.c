/* davitd [--root DIR] [--foreground] [OPERATOR | COMMAND [--FLAG] | teardown] */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "os/file.h"

enum { LOCK_WAIT_MS = 5000, FLAG = 256 /* no character */ };

static int usage(FILE *to)
{
    fputs("davitd [--root DIR] [--foreground]   start the platform of this machine\n"
          "davitd [--root DIR] OPERATOR         run one operator:\n",
          to);
    for (size_t i = 0; operators[i]; i++)
        fprintf(to, "    %-10s %s\n", operators[i]->name, operators[i]->what);
    for (size_t i = 0; operators[i]; i++)
        for (const struct command *k = operators[i]->commands; k && k->name; k++) {
            fprintf(to, "davitd [--root DIR] %-16s %s\n", k->name, k->what);
            if (k->flag)
                fprintf(to, "    --%-8s %s\n", k->flag, k->flag_what);
        }
    fputs("davitd [--root DIR] teardown         stop everything, apps included; data stays\n", to);
    return to == stdout ? 0 : 2;
}

static int complain(const struct err *err)
{
    fprintf(stderr, "davitd: error: %s\n", err->msg);
    if (*err->hint)
        fprintf(stderr, "davitd: hint: %s\n", err->hint);
    return err_code_exit(err->code);
}

/* An operator holds little and for long: one malloc arena, and what is freed goes back. */
static void spare_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

/* Whether davitd started us, and not somebody by hand: it has us die with it (parent.c). */
static bool is_child(void)
{
    int sig = 0;
    return prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL;
}

/* PR_SET_PDEATHSIG is forgotten when the user changes, so it comes again after that. */
static int die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    return getppid() == parent ? 0 : -1;
}

static int run_operator(const struct operator_desc *o, const struct config *c)
{
    struct err err;
    pid_t parent = getppid();
    bool child = is_child();
    if (folders_make(c, &err) < 0 || root_lock(c, o->name, LOCK_WAIT_MS, &err) < 0 ||
        (o->as_user && account_become(c, o->capabilities, &err) < 0))
        return complain(&err);
    if (child && die_with(parent) < 0)
        return 1; /* the parent is gone already, and a new one will start its own */
    spare_memory();
    log_init(o->name, LOG_LEVEL_INFO);
    return o->main(c);
}

static int run(const char *root, bool foreground, bool flag, const char *what)
{
    struct err err;
    static struct config c; /* never released: workers of an operator go on until the very end */
    if (*root && dir_make(root, 0755, &err) < 0)
        return complain(&err);
    if (settings_load(root, &c, &err) < 0)
        return complain(&err);
    if (!what) {
        char program[PATH_MAX] = "";
        if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
            return err_errno(&err, "/proc/self/exe"), complain(&err);
        return parent_run(&c, program, foreground, &err) < 0 ? complain(&err) : 0;
    }
    if (streq(what, "teardown"))
        return teardown(&c, &err) < 0 ? complain(&err) : 0;
    const struct operator_desc *o = operator_named(what);
    if (o)
        return run_operator(o, &c);
    const struct command *k = operator_command(what);
    if (k)
        return folders_make(&c, &err) < 0 || k->run(&c, flag, &err) < 0 ? complain(&err) : 0;
    fprintf(stderr, "davitd: error: there is no operator '%s'\n", what);
    return usage(stderr);
}

/* The one flag a command may have is an option like the others, known wherever it stands. */
static struct option *options_make(void)
{
    static const struct option own[] = {
        {"root", required_argument, NULL, 'r'},
        {"foreground", no_argument, NULL, 'f'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
    };
    size_t n = ARRAY_LEN(own);
    struct option *all = xcalloc(n + 1, sizeof(*all));
    memcpy(all, own, sizeof(own));
    for (size_t i = 0; operators[i]; i++)
        for (const struct command *k = operators[i]->commands; k && k->name; k++) {
            if (!k->flag)
                continue;
            all = xrealloc(all, (n + 2) * sizeof(*all));
            all[n++] = (struct option){k->flag, no_argument, NULL, FLAG};
            all[n] = (struct option){0};
        }
    return all;
}

int main(int argc, char **argv)
{
    _cleanup_free_ struct option *options = options_make();
    const char *root = "", *flag = NULL;
    bool foreground = false;
    log_init("davitd", LOG_LEVEL_INFO);
    for (int o, at; (o = getopt_long(argc, argv, "r:fhV", options, &at)) >= 0;)
        switch (o) {
        case 'r': root = optarg; break;
        case 'f': foreground = true; break;
        case FLAG: flag = options[at].name; break;
        case 'V': return puts("davitd " DAVIT_VERSION) < 0;
        case 'h': return usage(stdout);
        default: return usage(stderr);
        }
    const struct command *k = argc > optind ? operator_command(argv[optind]) : NULL;
    if (argc - optind > 1 || (flag && !(k && k->flag && streq(k->flag, flag))))
        return usage(stderr);
    if (geteuid() != 0) {
        fputs("davitd: error: davitd must be started as root\n"
              "davitd: hint: its parts drop what they don't need; try: sudo davitd\n",
              stderr);
        return 1;
    }
    umask(0002); /* the group davit shares the folders of logs */
    return run(root, foreground, flag, argv[optind]);
}
