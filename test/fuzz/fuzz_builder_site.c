#include "builder/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(const char *word, size_t n)
{
    static const char *const known[] = {"map",        "geo",      "default",   "set",
                                        "add_header", "return",   "try_files", "charset",
                                        "error_page", "location", "if"};
    if (word[0] == '"' || (word[0] >= '0' && word[0] <= '9'))
        return; /* a rule of a map */
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strlen(known[i]) == n && !memcmp(known[i], word, n))
            return;
    abort();
}

/* Whatever static.json says, there is no directive but ours. */
static void check(const char *text)
{
    bool begins = true, quoted = false;
    for (const char *c = text; *c; c++) {
        if (begins && !strchr(" \n}", *c)) {
            check_word(c, strcspn(c, " ;{"));
            begins = false;
        }
        if (quoted && *c == '\\')
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && strchr(";{}", *c))
            begins = true;
    }
    if (quoted || !begins)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct site s = {0};
    struct strv warnings = {0};
    if (site_parse((struct str){(const char *)data, size}, 8443, &s, &warnings, &err) == 0) {
        check(s.http);
        check(s.server);
    }
    site_release(&s);
    strv_release(&warnings);
    return 0;
}
