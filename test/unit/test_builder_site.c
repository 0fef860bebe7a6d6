#include "cm.h"

#include "builder/site.h"

static void site_of(const char *text, struct site *ret, struct strv *warnings)
{
    struct err err;
    assert_ok(site_parse(str_of(text), 8443, ret, warnings, &err), err);
}

static void without_static_json_files_are_served(void **state)
{
    (void)state;
    struct site s = {0};
    struct strv warnings = {0};
    site_of("", &s, &warnings);
    assert_null(s.root);
    assert_int_equal(warnings.n, 0);
    assert_contains(s.server, "error_page 404 \"/404.html\";");
    assert_contains(s.server, "try_files $uri $uri/ $site_file $site_gone;");
    site_release(&s);
}

static void fields_become_directives(void **state)
{
    (void)state;
    struct site s = {0};
    struct strv warnings = {0};
    site_of("{\"root\": \"./dist//site/\", \"clean_urls\": true, \"https_only\": true,\n"
            " \"encoding\": \"US-ASCII\", \"error_page\": \"errors/e.html\",\n"
            " \"routes\": {\"/a+/*\": \"index.html\", \"/assets/**\": \"/assets/\"},\n"
            " \"redirects\": {\"/old\": {\"url\": \"https://x/?$1\"}},\n"
            " \"headers\": {\"/**\": {\"X-A\": \"1\"}, \"/b\": {\"X-A\": \"$2\"}},\n"
            " \"proxies\": {}, \"error_pages\": \"x\"}",
            &s, &warnings);
    assert_string_equal(s.root, "dist/site");
    const char *const server[] = {"try_files $uri.html $uri ",
                                  "return 301 https://$host:8443$request_uri;",
                                  "charset \"US-ASCII\";",
                                  "error_page 404 \"/errors/e.html\";",
                                  "location @redirect0 {\n    return 301 \"https://x/?${d}1\";\n}",
                                  "add_header \"X-A\" $header_0 always;"};
    const char *const http[] = {"\"~(?s)^\\\\/a\\\\+\\\\/[^/]*\\\\z\" \"/index.html\";",
                                "\"~(?s)^\\\\/assets\\\\/.*\\\\z\" \"/.davit/none\";",
                                "\"~(?s)^\\\\/old\\\\z\" @redirect0;", "0 \"1\";\n1 \"${d}2\";\n",
                                /* the last one that fits counts, so it is looked at first */
                                "\"~(?s)^\\\\/b\\\\z\" 1;\n\"~(?s)^\\\\/.*\\\\z\" 0;\n"};
    for (size_t i = 0; i < ARRAY_LEN(server); i++)
        assert_contains(s.server, server[i]);
    for (size_t i = 0; i < ARRAY_LEN(http); i++)
        assert_contains(s.http, http[i]);
    assert_int_equal(warnings.n, 2);
    assert_contains(warnings.items[0], "'proxies' changes nothing here");
    assert_contains(warnings.items[1], "Did you mean 'error_page'?");
    site_release(&s);
    strv_release(&warnings);
}

static void nothing_in_it_is_a_directive(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"root\": \"a/../..\"}", "field 'root': it leads out"},
        {"{\"root\": \"a\\nroot /;\"}", "control character"},
        {"{\"root\": 5}", "field 'root': a text is needed"},
        {"{\"error_page\": \".env\"}", "field 'error_page': it leads out"},
        {"{\"encoding\": \"x; root /\"}", "field 'encoding'"},
        {"{\"clean_urls\": \"yes\"}", "true or false"},
        {"{\"routes\": {\"/**\": \"../x\"}}", "field 'routes./**': it leads out"},
        {"{\"routes\": {\"/**\": \".git/config\"}}", "it leads out"},
        {"{\"routes\": {\"x\": \"y\"}}", "begins with '/'"},
        {"{\"routes\": []}", "field 'routes': an object"},
        {"{\"redirects\": {\"/a\": {\"url\": \"/b\", \"status\": 200}}}", "'status' 301"},
        {"{\"redirects\": {\"/a\": \"/b\"}}", "a 'url' is needed"},
        {"{\"redirects\": {\"/a\": {\"url\": \"${HOST}/b\"}}}", "config variables"},
        {"{\"headers\": {\"/\": {\"X Y\": \"1\"}}}", "field 'headers./': the name of a header"},
        {"{\"headers\": {\"/\": {\"X\": \"1\\r\\nY: 2\"}}}", "control character"},
        {"{\"headers\": {\"/\": {\"X\": 1}}}", "the value of a header is a text"},
        {"{\"basic_auth\": true}", "passwords"},
        {"{\"root\": \"x\",\n  oops}", "static.json, line 2, column 6"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct site s = {0};
        struct strv warnings = {0};
        struct err err;
        assert_err(site_parse(str_of(cases[i].text), 0, &s, &warnings, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].message);
        assert_null(s.server);
        strv_release(&warnings);
    }
    struct site s = {0};
    struct strv warnings = {0};
    site_of("{\"redirects\": {\"/a\\\"; b {\": {\"url\": \"x\\\"; root /; \\\\\"}}}", &s,
            &warnings);
    assert_contains(s.http, "\"~(?s)^\\\\/a\\\\\\\"\\\\; b \\\\{\\\\z\" @redirect0;");
    assert_contains(s.server, "return 301 \"x\\\"; root /; \\\\\";");
    site_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_static_json_files_are_served),
        cmocka_unit_test(fields_become_directives),
        cmocka_unit_test(nothing_in_it_is_a_directive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
