/* The one table of the command line: VERB(words, operands, min, max, options, function, what it
 * does). A noun alone means its first verb. Parsing, help and completion come from it; each verb
 * takes --help, --json, --root and --url too. max -1: any number. */
/* clang-format off */
VERB("apps list",     "",                  0, 0, 0,                       apps_list,     "list all apps")
VERB("apps create",   "[NAME]",            0, 1, O(NO_REMOTE),            apps_create,   "create an app, and a git remote `davit` for this checkout")
VERB("apps show",     "[APP]",             0, 1, O(APP),                  apps_show,     "show one app")
VERB("apps destroy",  "[APP]",             0, 1, O(APP)|O(CONFIRM),       apps_destroy,  "destroy an app and all that is its")
VERB("ps",            "",                  0, 0, O(APP),                  ps,            "list the app's instances")
/* clang-format on */
