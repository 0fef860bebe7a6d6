#include "model/names.h"

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

/* Names that hosts or the platform itself need. */
static const char *const reserved[] = {"api",  "www",    "davit",  "davitd",    "git", "localhost",
                                       "mail", "status", "router", "dashboard", "dns", "internal"};

int app_name_check(const char *name, struct err *err)
{
    size_t n = strlen(name);
    if (!n)
        return err_set(err, ERR_INVALID, "an app needs a name");
    bool ok = n <= APP_NAME_MAX && is_lower(name[0]) && name[n - 1] != '-';
    for (size_t i = 0; ok && i < n; i++)
        ok = is_lower(name[i]) || is_digit(name[i]) || name[i] == '-';
    if (!ok) {
        err_set(err, ERR_INVALID, "'%.60s' can't be the name of an app", name);
        return err_hint(err,
                        "Use 1 to %d of a-z, 0-9 and '-', starting with a letter and not ending "
                        "with '-'.",
                        APP_NAME_MAX);
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (streq(name, reserved[i])) {
            err_set(err, ERR_INVALID, "'%s' is a name Davit needs itself", name);
            return err_hint(err, "Choose another name, for example my-%s.", name);
        }
    return 0;
}

int process_type_check(const char *type, struct err *err)
{
    size_t n = strlen(type);
    bool ok = n > 0 && n <= PROCESS_TYPE_MAX;
    for (size_t i = 0; ok && i < n; i++)
        ok = is_alpha(type[i]) || is_digit(type[i]) || type[i] == '_' || type[i] == '-';
    if (ok)
        return 0;
    err_set(err, ERR_INVALID, "'%.80s' can't be a process type", type);
    return err_hint(err, "Use 1 to %d letters, digits, '_' and '-'.", PROCESS_TYPE_MAX);
}

int config_name_check(const char *name, struct err *err)
{
    bool ok = is_alpha(name[0]) || name[0] == '_';
    for (size_t i = 1; ok && name[i]; i++)
        ok = is_alpha(name[i]) || is_digit(name[i]) || name[i] == '_';
    if (!ok) {
        err_set(err, ERR_INVALID, "'%.80s' can't be the name of a config variable", name);
        return err_hint(err, "Use letters, digits and '_', not starting with a digit.");
    }
    if (streq(name, "PORT") || !strncmp(name, "DAVIT_", 6))
        return err_set(err, ERR_INVALID, "%.80s is set by Davit itself and can't be changed", name);
    return 0;
}

static bool label_ok(struct str label)
{
    bool ok =
        label.len > 0 && label.len <= 63 && label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
    for (size_t i = 0; ok && i < label.len; i++)
        ok = is_lower(label.ptr[i]) || is_digit(label.ptr[i]) || label.ptr[i] == '-';
    return ok;
}

int host_check(const char *host, struct err *err)
{
    struct str rest = str_of(host);
    if (str_starts(rest, STR("*.")))
        rest = (struct str){rest.ptr + 2, rest.len - 2};
    size_t labels = 0;
    bool ok = strlen(host) <= HOST_MAX;
    while (ok && rest.ptr) {
        ok = label_ok(str_cut(&rest, '.'));
        labels++;
    }
    if (ok && labels >= 2)
        return 0;
    err_set(err, ERR_INVALID, "'%.80s' is not a host name", host);
    return err_hint(err,
                    "Use a full name in lower case such as shop.example.com or *.example.com.");
}

int user_name_check(const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= 32 && is_lower(name[0]);
    for (size_t i = 0; ok && i < n; i++)
        ok = is_lower(name[i]) || is_digit(name[i]) || strchr("-_.@", name[i]);
    if (ok)
        return 0;
    err_set(err, ERR_INVALID, "'%.60s' can't be the name of a user", name);
    return err_hint(err, "Use 1 to 32 of a-z, 0-9, '-', '_', '.' and '@', starting with a letter.");
}
