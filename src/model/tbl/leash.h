/* Has the lease of the api whose connection it is: a build without one that isn't through is cancelled. */
NOUN(leash, "Somebody waits for a build")
KEY(leash, "/builds/%s/leash", (const char *id), id)
FIELD(leash, STRING, node, "the machine whose api they are connected to")
WRITER(api, WRITES)
WRITER(builder, DELETES) /* when it is through */
END(leash)
