#include "cli/firewall.h"

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return streq(text(a, key), text(b, key));
}

/* A rule that refuses whatever comes to it: nothing in it but the refusal and what counts or logs.
 */
static bool refuses_all(const json_t *rule)
{
    const json_t *statement;
    size_t i;
    bool refuses = false;
    json_array_foreach(json_object_get(rule, "expr"), i, statement)
    {
        if (json_object_get(statement, "match"))
            return false;
        refuses =
            refuses || json_object_get(statement, "drop") || json_object_get(statement, "reject");
    }
    return refuses;
}

static bool names(const json_t *rule, const char *bridge)
{
    _cleanup_free_ char *dump = json_dumps(rule, JSON_COMPACT);
    _cleanup_free_ char *name = xasprintf("\"%s\"", bridge);
    return dump && strstr(dump, name);
}

static bool closed_to(const json_t *items, const json_t *chain, const char *bridge)
{
    bool refuses = streq(text(chain, "policy"), "drop"), known = false;
    const json_t *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        const json_t *rule = json_object_get(item, "rule");
        if (!rule || !same(rule, chain, "family") || !same(rule, chain, "table"))
            continue;
        known = known || names(rule, bridge);
        refuses = refuses || (streq(text(rule, "chain"), text(chain, "name")) && refuses_all(rule));
    }
    return refuses && !known;
}

char *firewall_obstacle(const json_t *ruleset, const char *bridge)
{
    const json_t *items = json_object_get(ruleset, "nftables"), *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        const json_t *chain = json_object_get(item, "chain");
        bool ip = streq(text(chain, "family"), "ip") || streq(text(chain, "family"), "inet");
        if (ip && streq(text(chain, "hook"), "forward") && closed_to(items, chain, bridge))
            return xasprintf("table %s %s, chain %s", text(chain, "family"), text(chain, "table"),
                             text(chain, "name"));
    }
    return NULL;
}
