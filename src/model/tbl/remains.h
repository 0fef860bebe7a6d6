/* Until every operator has deleted its own, there can't be another app of that name, so that nothing
 * of the one can become the other's. */
NOUN(remains, "What an operator has not removed yet of a destroyed app")
KEY(remains, "/remains/%s/%s", (const char *app, const char *operator), app, operator)
NEEDED(remains, STRING, app, "the app")
FIELD(remains, STRV, images, "digests, for builder")
FIELD(remains, STRV, builds, "ids, for builder")
WRITER(api, WRITES)
WRITER(OPERATOR, DELETES)
END(remains)
