/* Vanishes with the operator, by its lease: who is there is alive. */
NOUN(node, "A machine of the store, as one of its operators stands for it")
KEY(node, "/nodes/%s/%s", (const char *name, const char *operator), name, operator)
NEEDED(node, STRING, name, "the setting node, or the host's name")
NEEDED(node, STRING, place, "boot, node and root: where only one process can be that operator")
FIELD(node, STRING, since, "when it started")
WRITER(OPERATOR, WRITES)
END(node)
