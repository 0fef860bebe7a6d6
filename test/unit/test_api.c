/* The pure parts of the api: routes, tokens in headers. */
#include "cm.h"

#include <regex.h>

#include "api/auth.h"
#include "api/routes.h"

/* --- routes ---------------------------------------------------------------------------------- */

static void a_path_leads_to_its_route(void **state)
{
    (void)state;
    const struct route_group g = api_group(NULL);
    static const struct {
        const char *method, *path;
        int result; /* 0 or -code */
        const char *name, *first, *second;
    } cases[] = {
        {"GET", "/v1/apps", 0, "apps_list", NULL, NULL},
        {"POST", "/v1/apps", 0, "apps_create", NULL, NULL},
        {"GET", "/v1/apps/shop", 0, "apps_show", "shop", NULL},
        {"DELETE", "/v1/apps/shop/domains/a.example", 0, "domains_remove", "shop", "a.example"},
        {"GET", "/v1/apps/shop/releases/3", 0, "releases_show", "shop", "3"},
        {"GET", "/v1/apps/shop/releases/3/output", 0, "release_output", "shop", "3"},
        {"PUT", "/v1/apps", -ERR_METHOD, NULL, NULL, NULL},
        {"GET", "/v1/apps/", -ERR_NOT_FOUND, NULL, NULL, NULL},
        {"GET", "/v1//shop", -ERR_NOT_FOUND, NULL, NULL, NULL},
        {"GET", "/v1/apps/shop/", -ERR_NOT_FOUND, NULL, NULL, NULL},
        {"GET", "/v1/apps/a/b/c/d", -ERR_NOT_FOUND, NULL, NULL, NULL},
        {"GET", "/", -ERR_NOT_FOUND, NULL, NULL, NULL},
        {"GET", "", -ERR_NOT_FOUND, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct route *r = NULL;
        char *params[ROUTE_PARAMS_MAX] = {0};
        struct err err;
        assert_int_equal(route_find(&g, cases[i].method, cases[i].path, &r, params, &err),
                         cases[i].result);
        if (cases[i].name)
            assert_string_equal(r->name, cases[i].name);
        const char *expected[] = {cases[i].first, cases[i].second};
        for (size_t p = 0; p < ROUTE_PARAMS_MAX; p++) {
            if (expected[p])
                assert_string_equal(params[p], expected[p]);
            else
                assert_null(params[p]);
            free(params[p]);
        }
    }
}

static void wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    const struct route_group g = api_group(NULL);
    const struct route *r;
    char *params[ROUTE_PARAMS_MAX];
    struct err err;
    assert_int_equal(route_find(&g, "PUT", "/v1/apps", &r, params, &err), -ERR_METHOD);
    assert_string_equal(err.hint, "possible: GET, POST");
}

static void a_token_is_found_in_its_header(void **state)
{
    (void)state;
    static const struct {
        const char *header, *token; /* token NULL: none */
    } cases[] = {
        {"Bearer abc", "abc"},
        {"bearer abc", "abc"},
        {"Basic eDphYmM=", "abc"}, /* x:abc */
        {"Basic OmE6Yg==", "a:b"}, /* :a:b */
        {"Basic eDo=", NULL},      /* x: */
        {"Basic eGFiYw==", NULL},  /* xabc */
        {"Basic ***", NULL},
        {"Basic ", NULL},
        {"Bearer ", NULL},
        {"Digest abc", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *token = token_from_header(cases[i].header);
        if (cases[i].token)
            assert_string_equal(token, cases[i].token);
        else
            assert_null(token);
    }
}

/* --- what is declared ------------------------------------------------------------------------ */

/* POSIX has no look-ahead: what stands in one is left out. */
static char *without_lookahead(const char *pattern)
{
    int depth = 1;
    if (strncmp(pattern, "^(?!", 4) != 0)
        return xstrdup(pattern);
    for (pattern += 4; depth; pattern++)
        depth += (*pattern == '(') - (*pattern == ')');
    return xasprintf("^%s", pattern);
}

static bool fits(const char *pattern, const char *text)
{
    regex_t re;
    _cleanup_free_ char *plain = without_lookahead(pattern);
    assert_int_equal(regcomp(&re, plain, REG_EXTENDED | REG_NOSUB), 0);
    bool found = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

static void hold_against(const struct text_kind *k)
{
    static const char *const samples[] = {
        "shop",
        "shop-1",
        "-shop",
        "shop-",
        "Shop",
        "1shop",
        "s",
        "",
        "a.b",
        "a.example",
        "*.example",
        "*.a.example",
        "a..b",
        "a.-b",
        "a.b-",
        "x_y",
        "ann@a.b",
        "a b",
        "web",
        "web.1",
        "web.0",
        "web.",
        "web.1.2",
        "v3",
        "3",
        "v0",
        "0",
        "03",
        "beef",
        "BEEF",
        "a-name-of-30-characters-is-ok1",
        "a-name-of-31-characters-is-bad1",
        "2026-09-16T15:13:46Z",
        "yesterday",
        "2026-13-16T15:13:46Z",
    };
    if (!k || !k->pattern || !k->check || strstr(k->pattern, "\\x"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        if (fits(k->pattern, samples[i]) != (k->check(samples[i], NULL) == 0))
            fail_msg("'%s' and %s: the pattern and the check don't agree", samples[i], k->pattern);
}

static void hold_all(const struct param *list)
{
    for (; list && list->name; list++) {
        hold_against(list->kind);
        hold_against(list->names);
    }
}

static void the_description_says_what_the_checks_do(void **state)
{
    (void)state;
    hold_all(api_params);
    for (const struct route *const *table = api_routes; *table; table++)
        for (const struct route *r = *table; r->path; r++) {
            hold_all(r->query);
            hold_all(r->fields);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_leads_to_its_route),
        cmocka_unit_test(wrong_method_names_the_right_ones),
        cmocka_unit_test(a_token_is_found_in_its_header),
        cmocka_unit_test(the_description_says_what_the_checks_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
