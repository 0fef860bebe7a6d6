/* Which revision is in force: model/current.h. */
NOUN(config_vars, "A revision of an app's config variables; never changed")
KEY(config_vars, "/apps/%s/config/%010" PRId64, (const char *app, int64_t number), app, number)
NEEDED(config_vars, INT, number, "from 1, one more with each revision")
FIELD(config_vars, STRING, created, "when it was made")
FIELD(config_vars, STRING, by, "the user who made it")
NEEDED(config_vars, MAP, vars, "names to values")
WRITER(api, WRITES)
WRITER(builder, WRITES) /* when app.json asks for variables the app doesn't have */
END(config_vars)
