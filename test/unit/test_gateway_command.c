/* Actions as commands, and how HAProxy's answers are understood. */
#include "cm.h"

#include "gateway/command.h"
#include "gateway/conf.h"

static const struct {
    struct action action;
    const char *command; /* NULL: refused */
} commands[] = {
    {{ACTION_SET, TABLE_APPS, 0, NULL, "shop", "s1"}, "add map apps.map shop s1"},
    {{ACTION_SET, TABLE_APPS, 0, NULL, "there", "s1"}, "set map apps.map there s1"},
    {{ACTION_UNSET, TABLE_HOSTS, 0, NULL, "shop.d", NULL}, "del map hosts.map shop.d"},
    {{ACTION_STOP, 0, 0, "s12", "a:web.1:v1", NULL},
     "set server g12/a:web.1:v1 state maint;del server g12/a:web.1:v1;"
     "set server s12/a:web.1:v1 state maint;del server s12/a:web.1:v1"},
    {{ACTION_CUT, 0, 0, "s1", "n", NULL},
     "shutdown sessions server g1/n;shutdown sessions server s1/n"},
    {{ACTION_START, 0, 0, "s1", "n", "10.0.0.2:80"},
     "add server g1/n 10.0.0.2:80 " CONF_SERVER_ARGS CONF_TWIN_ARGS ";"
     "set server g1/n addr 10.0.0.2 port 80;enable health g1/n;set server g1/n state ready;"
     "add server s1/n 10.0.0.2:80 " CONF_SERVER_ARGS ";"
     "set server s1/n addr 10.0.0.2 port 80;enable health s1/n;set server s1/n state ready"},
    {{ACTION_ADDRESS, 0, 0, "s1", "n", "10.0.0.2:80"},
     "set server g1/n addr 10.0.0.2 port 80;set server s1/n addr 10.0.0.2 port 80"},
    {{ACTION_SET, TABLE_HOSTS, 0, NULL, "x;show env", "shop"}, NULL},
    {{ACTION_SET, TABLE_HOSTS, 0, NULL, "x y", "shop"}, NULL},
    {{ACTION_SET, TABLE_HOSTS, 0, NULL, "", "shop"}, NULL},
    {{ACTION_ADD, 0, 0, "s1", "n", "10.0.0.2:80\nshow env"}, NULL},
};

static void actions_become_commands(void **state)
{
    (void)state;
    _cleanup_(state_release) struct state s = {0};
    table_set(&s.tables[TABLE_APPS], "there", "H14");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        _cleanup_free_ char *text = NULL;
        struct err err;
        int r = command_for(&s, &commands[i].action, &text, &err);
        assert_int_equal(r, commands[i].command ? 0 : -ERR_INVALID);
        if (commands[i].command)
            assert_string_equal(text, commands[i].command);
    }
}

#define CONNECTED "Server still has connections attached to it, cannot remove it.\n\n"

/* As HAProxy 2.6 answers. */
static const struct {
    enum action_type type;
    const char *reply;
    int result;
    bool deleted;
} replies[] = {
    {ACTION_SET, "\n", 0, false},
    {ACTION_ADD, "New server registered.\n\n\n\nNew server registered.\n\n\n\n", 0, false},
    {ACTION_ADD, "Already exists a server with the same name in backend.\n\n", 0, false},
    {ACTION_ADD, "New server registered.\n\nnothing changed\n\n", 0, false}, /* HAProxy 3.0 */
    {ACTION_DELETE, "nothing changed\n\nServer deleted.\n\n", 0, true},
    {ACTION_ADD, "No such backend.\n\n", -ERR_INTERNAL, false},
    {ACTION_START, "No such server.\n\n", -ERR_INTERNAL, false},
    {ACTION_CUT, "No such server.\n\n\n", 0, false}, /* of the twin */
    {ACTION_SET, "Unknown map identifier. Please use #<id> or <file>.\n\n", -ERR_INTERNAL, false},
    {ACTION_STOP, "\nServer deleted.\n\n\nServer deleted.\n\n", 0, true},
    {ACTION_STOP, "\nServer deleted.\n\n\n" CONNECTED, 0, false},
    {ACTION_STOP, "\n" CONNECTED "\nServer deleted.\n\n", 0, false},
    {ACTION_DELETE, "No such server.\n\nNo such server.\n\n", 0, true},
    {ACTION_DELETE, "IP changed from '10.0.0.1' to '127.0.0.1' by 'stats'\n\nServer deleted.\n\n",
     0, true},
    {ACTION_DELETE, "Permission denied\n\n", -ERR_INTERNAL, false},
};

static void answers_that_complain_are_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct action a = {.type = replies[i].type};
        struct err err;
        bool deleted = false;
        assert_int_equal(command_judge(&a, str_of(replies[i].reply), &deleted, &err),
                         replies[i].result);
        assert_int_equal(deleted, replies[i].deleted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_become_commands),
        cmocka_unit_test(answers_that_complain_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
