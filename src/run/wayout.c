#include "run/wayout.h"

#include "os/spawn.h"

enum { LIST_MAX = 16 << 20, RULES_MAX = 4096 };

/* The first is where everything passes, the second comes before it while Docker runs. */
static const char *const chains[WAYOUT_FOREIGN] = {"FORWARD", "DOCKER-USER"};

/* Bridges of Docker, libvirt and LXD, which have their own rules about who gets in. */
static const char *const foreign[] = {"docker+", "br-+", "virbr+", "lxdbr+", "incusbr+"};

static void add_chain(const char *bridge, struct buf *ret)
{
    buf_addf(ret, ":DAVIT-%s - [0:0]\n", bridge);
    buf_addf(ret, "-A DAVIT-%s -o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
             bridge, bridge);
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        buf_addf(ret, "-A DAVIT-%s -o %s -j RETURN\n", bridge, foreign[i]);
    buf_addf(ret, "-A DAVIT-%s -i %s -j ACCEPT\n", bridge, bridge);
}

static bool jumps(const char *list, const char *bridge)
{
    _cleanup_free_ char *jump = xasprintf("jump DAVIT-%s\n", bridge);
    return list && strstr(list, jump);
}

void wayout_rules(const char *bridge, const char *const lists[WAYOUT_CHAINS], bool open,
                  struct buf *ret)
{
    _cleanup_(buf_release) struct buf changes = BUF_CAP(RULES_MAX);
    for (size_t i = 0; i < WAYOUT_FOREIGN; i++)
        if (lists[i] && jumps(lists[i], bridge) != open)
            for (int out = 0; out < 2; out++)
                buf_addf(&changes, "%s %s -%c %s -j DAVIT-%s\n", open ? "-I" : "-D", chains[i],
                         out ? 'o' : 'i', bridge, bridge);
    if (open ? !changes.len : !lists[WAYOUT_OURS])
        return;
    buf_adds(ret, "*filter\n");
    if (open)
        add_chain(bridge, ret);
    buf_add(ret, changes.ptr, changes.len);
    if (!open)
        buf_addf(ret, "-F DAVIT-%s\n-X DAVIT-%s\n", bridge, bridge);
    buf_adds(ret, "COMMIT\n");
}

/* What nft says of the chain; NULL if there is none. */
static const char *list(const char *name, struct buf *ret)
{
    const char *const argv[] = {"nft", "-s", "list", "chain", "ip", "filter", name, NULL};
    return spawn_run(argv, (struct str){NULL, 0}, ret, NULL) < 0 ? NULL : ret->ptr;
}

static int change_iptables(const char *bridge, bool open, struct err *err)
{
    static const char *const argv[] = {"iptables-restore", "--noflush", "--wait", "5", NULL};
    const char *lists[WAYOUT_CHAINS];
    struct buf texts[WAYOUT_CHAINS];
    _cleanup_(buf_release) struct buf rules = BUF_CAP(RULES_MAX);
    _cleanup_free_ char *ours = xasprintf("DAVIT-%s", bridge);
    for (size_t i = 0; i < WAYOUT_CHAINS; i++) {
        texts[i] = BUF_CAP(LIST_MAX);
        lists[i] = list(i == WAYOUT_OURS ? ours : chains[i], &texts[i]);
    }
    wayout_rules(bridge, lists, open, &rules);
    for (size_t i = 0; i < WAYOUT_CHAINS; i++)
        buf_release(&texts[i]);
    return rules.len ? spawn_run(argv, buf_str(&rules), NULL, err) : 0;
}

static int change_firewalld(const char *bridge, bool open, struct err *err)
{
    static const char *const table[] = {"nft", "-s", "list", "table", "inet", "firewalld", NULL};
    _cleanup_(buf_release) struct buf text = BUF_CAP(LIST_MAX);
    _cleanup_free_ char *name = xasprintf("\"%s\"", bridge);
    if (spawn_run(table, (struct str){NULL, 0}, &text, NULL) < 0)
        return 0; /* doesn't run, or leaves the rules to iptables */
    if ((text.ptr && strstr(text.ptr, name)) == open)
        return 0;
    _cleanup_free_ char *change =
        xasprintf("--%s-interface=%s", open ? "change" : "remove", bridge);
    const char *const argv[] = {"firewall-cmd", "--quiet", "--zone=trusted", change, NULL};
    return spawn_run(argv, (struct str){NULL, 0}, NULL, err);
}

static int change_all(const char *bridge, bool open, struct err *err)
{
    static const char *const tables[] = {"nft", "list", "tables", NULL};
    _cleanup_(buf_release) struct buf text = BUF_CAP(LIST_MAX);
    int r = spawn_run(tables, (struct str){NULL, 0}, &text, err), e = 0;
    if (r < 0 || !text.ptr)
        return r;
    if (strstr(text.ptr, "table ip filter\n"))
        r = change_iptables(bridge, open, err);
    if (strstr(text.ptr, "table inet firewalld\n"))
        e = change_firewalld(bridge, open, r < 0 ? NULL : err);
    return r < 0 ? r : e;
}

int wayout_open(const char *bridge, struct err *err) { return change_all(bridge, true, err); }
int wayout_close(const char *bridge, struct err *err) { return change_all(bridge, false, err); }
